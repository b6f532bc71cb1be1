"""What a window does while other threads open it, close it, or ask for either."""

import os
import signal
import threading
import types
from collections.abc import Callable
from typing import Any

import pytest
from traceana_capture.agent import closing, profiler, sigterm, window
from traceana_capture.agent.call_notes import NEVER, Calls


def test_a_collective_does_not_wait_for_another_threads_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank that waits may be the one that the export waits for."""
    fresh = Calls()
    for module in (window, closing):
        monkeypatch.setattr(module, "CALLS", fresh)
    control: Any = None
    exporting = window.Window({}, control)
    exporting.state, exporting._stopper, fresh.over = closing.State.EXPORTING, -1, True
    monkeypatch.setattr(exporting._done, "wait", lambda: pytest.fail("waited"))
    exporting.collective()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    fresh = Calls()
    for module in (window, closing):
        monkeypatch.setattr(module, "CALLS", fresh)
    return fresh


SETTINGS = {"step_on": "", "warmup": 0, "steps": 0, "delay_s": 3, "ranks": ()}


def test_collectives_rest_during_a_delay_and_open_after_it(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """The main thread may be unable to take the signal that ends the delay."""
    timers: list[Callable[[], None]] = []

    class Timer:
        daemon = False

        def __init__(self, _delay_s: float, due: Callable[[], None]) -> None:
            timers.append(due)

        def start(self) -> None: ...

    monkeypatch.setattr(threading, "Timer", Timer)
    monkeypatch.setattr(signal, "pthread_kill", lambda *_: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    control: Any = None
    delayed = window.Window(SETTINGS, control)
    monkeypatch.setattr(delayed, "warm_up", lambda: None)
    calls.ask(0)
    delayed._open()
    assert calls.unasked == NEVER
    delayed._due = float("inf")
    for _ in range(5):
        with delayed.held():
            pass
    assert len(timers) == 1
    timers[0]()
    assert calls.unasked == 0


def test_who_asks_too_late_closes_nothing(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    control: Any = None
    recording = window.Window({}, control)
    recording.state, recording._limit, calls.seen = closing.State.RECORDING, 20, 5
    closed: list[str] = []
    monkeypatch.setattr(recording, "close", closed.append)
    recording.collective()
    assert (closed, calls.unasked) == ([], 20)
    calls.seen = 20
    recording.collective()
    assert closed == ["--max-collectives were recorded"]


def test_a_request_that_must_wait_is_met_at_the_next_collective(calls: Calls) -> None:
    control: Any = None
    recording = window.Window({}, control)
    recording.state, recording.holds = closing.State.RECORDING, 1
    recording.close("the steps were over")
    assert (calls.unasked, recording._asked) == (0, "the steps were over")


class Said:
    """Stands for the launcher's socket."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.there = True

    def send(self, **message: Any) -> None:
        self.messages.append(message)

    def is_connected(self) -> bool:
        return self.there


def test_no_window_opens_in_a_process_that_ends_and_it_says_what_it_waited_for(calls: Calls) -> None:
    control: Any = Said()
    waiting = window.Window({}, control)
    waiting.waits_for = lambda: "no step came"
    waiting.leave()
    assert calls.over
    said = {"window": 1, "event": "waiting", "reason": "the process ended while it waited: no step came"}
    assert control.messages == [said]


def test_a_program_by_itself_opens_only_where_the_launcher_is_there(calls: Calls) -> None:
    control: Any = Said()
    opened: list[str] = []

    def made(answers: bool) -> window.Window:
        lone = window.Window(SETTINGS, control)
        lone.introduce = lambda: answers
        lone._open = lambda: opened.append("open")  # type: ignore[method-assign]
        return lone

    made(True).open()
    assert opened == []
    made(True).open(lone=True)
    assert opened == ["open"]
    gone = made(False)
    gone.open(lone=True)
    assert (opened, gone.state) == (["open"], closing.State.OVER)


def test_a_stuck_export_holds_sigterm_back_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(sigterm, "EXPORT_S", 0.01)
    monkeypatch.setattr(sigterm, "_restore", lambda: None)
    monkeypatch.setattr(os, "kill", lambda _pid, number: ended.append(number))
    stuck = threading.Event()
    pipe: Any = types.SimpleNamespace(recv=lambda _size: bytes([signal.SIGTERM]))

    def close(_reason: str) -> None:
        stuck.wait()

    sigterm._wait(pipe, close)
    stuck.set()
    assert ended == [signal.SIGTERM]


def test_what_an_old_torch_cannot_record_is_said(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session of torch 2.5 belongs to its thread, which alone may stop it."""
    control: Any = Said()
    monkeypatch.setattr(profiler, "knows_all_threads", lambda: False)
    old = window.Window(SETTINGS | {"all_threads": True}, control)
    old._record()
    assert old.state is closing.State.OVER
    assert control.messages[-1]["reason"].endswith("is too old for --all-threads")
