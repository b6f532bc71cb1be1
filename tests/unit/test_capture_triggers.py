"""When the window opens and closes, with a stand-in of the window that only notes it."""

import sys
import time
import types
from typing import Any

import pytest
from traceana_capture.agent import triggers as trigger_module
from traceana_capture.agent.call_notes import NEVER, Calls
from traceana_capture.agent.triggers import Triggers
from traceana_capture.launcher.options import function_name

from traceana.errors import TraceanaError


class Noted:
    def __init__(self) -> None:
        self.profiler: object = None
        self.events: list[object] = []
        self.asked = 0
        self.settings: dict[str, Any] = {}
        self.lone: list[bool] = []
        self.number = 1

    def awaits(self) -> bool:
        return self.profiler is None and "close" not in self.events

    def is_delayed(self) -> bool:
        return False

    def open(self, *, lone: bool = False) -> None:
        self.lone.append(lone)
        if self.profiler is None and "close" not in self.events:
            self.profiler = object()
            self.events.append("open")

    def collective(self) -> None:
        self.asked += 1

    def close(self, _reason: str) -> None:
        if self.profiler is not None:
            self.profiler = None
            self.events.append("close")


def triggers(**options: Any) -> tuple[Triggers, Noted, Any]:
    """Triggers, their window, and a program whose functions only note that they were called."""
    window: Any = Noted()
    window.settings = {"start_on": "", "step_on": "", "warmup": 0, "steps": 0, "delay_s": 0.0, **options}
    made = Triggers(window.settings, window, lambda: False)
    program: Any = types.ModuleType("program")
    program.Model = type("Model", (), {"step": lambda self, number: window.events.append(number)})
    program.begin = lambda: window.events.append("begin")
    made.watch(program)
    return made, window, program


def test_without_options_work_opens_and_steps_do_not() -> None:
    made, window, _ = triggers()
    made.begin_step()
    assert window.events == []
    made.work()
    assert window.events == ["open"]


def test_steps_after_the_warm_up_bound_the_window() -> None:
    made, window, program = triggers(step_on="program:Model.step", warmup=1, steps=2)
    made.work()
    for number in range(5):
        program.Model().step(number)
    assert window.events == [0, "open", 1, 2, "close", 3, 4]


@pytest.mark.parametrize("requests", [True, False])
def test_a_collective_opens_unless_requests_do(requests: bool) -> None:
    """Under sglang the work begins with the first request, not with the collectives of its start."""
    made, window, _ = triggers()
    made.has_requests = lambda: requests
    made.collective()
    assert (window.events, window.asked) == ([] if requests else ["open"], 0)
    made.work()
    made.collective()
    assert (window.events, window.asked) == (["open"], 1)


@pytest.mark.parametrize(("options", "opens"), [({"warmup": 1}, 1), ({"steps": 1}, 0), ({"step_on": "a:b"}, None)])
def test_a_collective_opens_after_the_warm_up_and_in_no_step_that_is_named(
    options: dict[str, Any], opens: int | None
) -> None:
    made, window, _ = triggers(**options)
    for steps in range(3):
        made.collective()
        assert ("open" in window.events) == (opens is not None and steps >= opens)
        made.end_step()


@pytest.mark.parametrize(
    ("options", "before", "begun"),
    [
        ({}, 0, 0),
        ({"start_on": "program:begin"}, NEVER, 0),
        ({"step_on": "program:Model.step"}, NEVER, NEVER),
        ({"start_on": "program:begin", "warmup": 1}, NEVER, NEVER),
    ],
)
def test_collectives_come_only_where_they_may_open(
    options: dict[str, Any], before: int, begun: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the window a program pays nothing for collectives that could not open it."""
    calls = Calls()
    monkeypatch.setattr("traceana_capture.agent.triggers.CALLS", calls)
    made, window, program = triggers(**options)
    made.work = lambda **_: None  # type: ignore[method-assign]
    made.listen()
    assert calls.unasked == before
    program.begin()
    assert calls.unasked == begun
    calls.ask(NEVER)
    program.begin()
    assert calls.unasked == NEVER, "during a delay, a later call of the function"
    made.listen()
    made.end_step()
    assert calls.unasked == (NEVER if options.get("step_on") else 0)
    made.has_requests = lambda: True
    made.collective()
    assert (calls.unasked, window.events) == (NEVER, ["begin", "begin"])
    calls.finish()
    made.has_requests = lambda: False
    made.listen()
    assert calls.unasked == NEVER


def test_a_window_that_another_thread_opens_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It records before it says so, and would take the next collective for one too many."""
    calls = Calls()
    monkeypatch.setattr("traceana_capture.agent.triggers.CALLS", calls)
    made, _, _ = triggers(warmup=1)
    calls.recording, calls.unasked = True, 20_000
    made.end_step()
    assert calls.unasked == 20_000


def test_a_named_function_opens_before_it_runs() -> None:
    made, window, program = triggers(start_on="program:begin")
    made.work()
    program.begin()
    assert window.events == ["open", "begin"]


def test_steps_count_from_the_start_function() -> None:
    _, window, program = triggers(start_on="program:begin", step_on="program:Model.step", warmup=1, steps=1)
    program.Model().step(0)
    program.begin()
    for number in (1, 2, 3):
        program.Model().step(number)
    assert window.events == [0, "begin", 1, "open", 2, "close", 3]


@pytest.mark.parametrize("start_on", ["program:begin", "program:Model.step"])
def test_the_first_step_from_the_start_function_has_its_span(start_on: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its span begins after the window does, also where one function is both the start and the step."""
    calls = Calls()
    monkeypatch.setattr("traceana_capture.agent.triggers.CALLS", calls)
    _, window, program = triggers(start_on=start_on, step_on="program:Model.step", steps=2)
    opened = window.open

    def record(*, lone: bool = False) -> None:
        opened(lone=lone)
        if not calls.recording:
            calls.recording, calls.since = True, time.time_ns()

    monkeypatch.setattr(window, "open", record)
    program.begin()
    for number in range(3):
        program.Model().step(number)
    assert [event for event in window.events if event != "begin"] == ["open", 0, 1, "close", 2]
    assert [number for number, *_ in calls.steps[:2]] == [0, 1]
    assert all(calls.since <= began <= ended for _, _, began, ended in calls.steps)


def test_a_function_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    triggers(start_on="program:Missing.method")
    assert "program:Missing.method is missing" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["program", "program:", ":begin", "a b:c", "__main__:begin"])
def test_what_is_not_a_function_of_a_module_is_refused(text: str) -> None:
    with pytest.raises(TraceanaError, match="--start-on"):
        function_name("--start-on", text)
    assert function_name("--start-on", "a.b:C.d") == "a.b:C.d"


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Those of a window that is open."""
    fresh = Calls()
    fresh.recording = True
    monkeypatch.setattr(trigger_module, "CALLS", fresh)
    return fresh


def test_each_counted_step_has_a_begin_and_an_end(noted: Calls) -> None:
    made, window, program = triggers(step_on="program:Model.step")
    for number in range(3):
        program.Model().step(number)
    made.optimizer_step()
    assert [number for number, *_ in noted.steps] == [0, 1, 2]
    assert all(begin <= end for _, _, begin, end in noted.steps)
    assert window.events == ["open", 0, 1, 2]


def test_an_optimizers_step_lasts_from_the_one_before(noted: Calls) -> None:
    made, *_ = triggers()
    for _ in range(3):
        made.optimizer_step()
    (_, _, begin, end), (_, _, next_begin, _) = noted.steps
    assert [number for number, *_ in noted.steps] == [1, 2]
    assert begin <= end <= next_begin


def test_a_step_that_began_before_the_window_is_none(noted: Calls) -> None:
    made, *_ = triggers()
    made.optimizer_step()
    noted.since = sys.maxsize
    made.optimizer_step()
    noted.recording, noted.since = False, 0
    made.optimizer_step()
    assert noted.steps == []


def test_a_program_by_itself_begins_with_its_work_but_not_with_an_optimizer() -> None:
    """What learns something before it sets up its process group would spend its only window on that."""
    made, window, _ = triggers()
    made.optimizer_step()
    assert window.lone == [False]
    made.work()
    assert window.lone == [False, True]
    made, window, program = triggers(start_on="program:begin")
    program.begin()
    made.optimizer_step()
    assert window.lone == [True, True]
    made, window, program = triggers(step_on="program:Model.step")
    program.Model().step(0)
    assert window.lone == [True]


@pytest.mark.parametrize(
    ("options", "steps", "words"),
    [
        ({"start_on": "train:run"}, 0, "--start-on train:run was never called"),
        ({"step_on": "program:Model.step"}, 0, "--step-on program:Model.step was never called"),
        ({"warmup": 3}, 0, "none of --warmup 3 came; ask for fewer, or say with --step-on"),
        ({"warmup": 3}, 2, "only 2 of --warmup 3 came"),
        ({"warmup": 3}, 3, "after --warmup 3 no step came any more"),
        ({"steps": 3}, 0, "no step and no collective came; say with --step-on"),
        ({}, 0, "no collective came; name a function with --start-on"),
    ],
)
def test_what_did_not_come_is_said_with_what_to_ask_for(options: dict[str, Any], steps: int, words: str) -> None:
    made, _, _ = triggers(**options)
    for _ in range(steps):
        made.end_step()
    assert made.waits_for().startswith(words)


def test_the_first_request_and_the_delay_are_waited_for() -> None:
    made, window, _ = triggers(delay_s=30.0)
    made.has_requests = lambda: True
    assert made.waits_for().startswith("no request came")
    window.is_delayed = lambda: True  # type: ignore[method-assign]
    assert made.waits_for() == "--delay 30 s was not over; ask for a shorter one"


def test_steps_that_are_not_recorded_are_counted() -> None:
    made, _, _ = triggers(steps=3)
    assert made.still_to_come() == "0 of --steps 3"
    made.begin_step()
    for _ in range(3):
        made.end_step()
    assert made.still_to_come() == ""
