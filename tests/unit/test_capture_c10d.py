"""The taps of c10d's functions: open while calls are wanted; every call is issued once, and noted only when it was."""

import inspect
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed import distributed_c10d
from traceana_capture.agent import c10d, routes
from traceana_capture.agent.call_notes import NEVER, Calls


class Issued:
    """Stands for c10d's all_reduce."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls = 0
        self.error = error

    def wrapped(self) -> Any:
        def all_reduce(tensor: Any, op: Any = None, group: Any = None, async_op: bool = False) -> None:
            self.calls += 1
            if self.error is not None:
                raise self.error

        return c10d._noted(all_reduce, c10d.COLLECTIVES["all_reduce"])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Those of an open window, in a group that has no numbers."""
    fresh = Calls()
    fresh.recording, fresh.unasked = True, 100
    monkeypatch.setattr(c10d, "CALLS", fresh)
    monkeypatch.setattr(c10d, "kind", lambda *_: {})
    return fresh


@pytest.mark.parametrize("argument", [torch.ones(4), torch.ones(4, device="meta"), [], "no tensor"])
def test_a_call_that_fails_is_issued_once(calls: Calls, argument: Any) -> None:
    """Issued again it would meet other ranks' next call, and its error would be said to come from ours."""
    issued = Issued(RuntimeError("the network is down"))
    with pytest.raises(RuntimeError, match="the network is down") as raised:
        issued.wrapped()(argument)
    assert (issued.calls, raised.value.__context__, calls.host) == (1, None, [])


def test_a_call_on_the_host_is_noted_and_another_is_not(calls: Calls) -> None:
    issued = Issued()
    issued.wrapped()(torch.ones(4, device="meta"))
    assert (issued.calls, calls.host) == (1, [])
    issued.wrapped()(tensor=torch.ones(6))
    ((_, sent, received, number, _, thread, begin, end, begun),) = calls.host
    assert (issued.calls, sent, received, number) == (2, 6, 6, None)
    assert begin <= end
    assert (thread, begun) == (threading.get_ident(), True)


def test_a_traced_call_is_none(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.export runs the function to see what it would do."""
    asked: list[None] = []
    calls.before, calls.unasked = lambda: asked.append(None), 0
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    issued = Issued()
    issued.wrapped()(torch.ones(4))
    assert (issued.calls, calls.host, calls.seen, asked) == (1, [], 0, [])


def test_the_window_is_asked_before_the_first_call_that_is_too_many(calls: Calls) -> None:
    asked: list[int] = []
    calls.before, calls.unasked = lambda: asked.append(calls.seen), 2
    all_reduce = Issued().wrapped()
    for _ in range(4):
        all_reduce(torch.ones(8))
    assert asked == [2, 3]


@pytest.mark.parametrize(
    ("tensor", "counted"),
    [(torch.ones(2), 0), (torch.ones(1, dtype=torch.int64), 0), (torch.ones(5), 1), (torch.ones(1, device="meta"), 1)],
)
def test_an_idle_schedulers_word_is_noted_but_not_counted(calls: Calls, tensor: torch.Tensor, counted: int) -> None:
    """Sglang's server sends 2,600 of 8 bytes a second while it waits for a request."""
    Issued().wrapped()(tensor)
    assert (calls.seen, len(calls.host)) == (counted, int(tensor.is_cpu))


TAPPED: tuple[Any, ...] = (dist.all_reduce, dist.broadcast, dist.all_to_all_single, dist.all_gather)
TORCHS = [inspect.unwrap(function) for function in TAPPED]
CELLS = [c10d._cell(function) for function in TAPPED]


def running() -> list[Any]:
    """What these functions of c10d run, inside the decorator that the program calls."""
    return [cell.cell_contents for cell in CELLS if cell is not None]


@pytest.fixture
def unwanted(calls: Calls) -> Iterator[Calls]:
    """Calls that nobody wants to know of yet; c10d is torch's own again afterwards."""
    calls.recording, calls.unasked = False, NEVER
    c10d.watch_c10d()
    yield calls
    calls.routed = False
    calls.tap(False, False)


def test_c10d_is_torchs_own_while_nobody_wants_calls(unwanted: Calls) -> None:
    """What a program pays before its window and after it is nothing."""
    assert running() == TORCHS
    begins: tuple[Callable[[], None], ...] = (lambda: unwanted.ask(7), unwanted.begin_graph, lambda: unwanted.ask(0))
    ends: tuple[Callable[[], None], ...] = (lambda: unwanted.ask(NEVER), unwanted.end_graph, unwanted.finish)
    for begin, end in zip(begins, ends, strict=True):
        begin()
        assert not {*running()} & {*TORCHS}
        end()
        assert running() == TORCHS


def test_another_backends_calls_are_tapped_always(unwanted: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    unwanted.ask(0)
    noted = running()
    unwanted.ask(NEVER)
    monkeypatch.setattr(routes, "CALLS", unwanted)
    monkeypatch.setattr(routes, "COMMUNICATORS", {})
    routes.register((0, 1), object())
    carried = running()
    assert not {*carried} & {*TORCHS, *noted}
    unwanted.finish()
    assert running() == carried


def test_what_is_wanted_meanwhile_is_what_comes_of_it(unwanted: Calls) -> None:
    """A signal's handler, or another thread, asks in the midst of an exchange."""
    tap = unwanted.tap
    handlers: list[Callable[[], None]] = [lambda: unwanted.ask(0)]

    def interrupted(*state: bool) -> None:
        if handlers:
            handlers.pop()()
        tap(*state)

    unwanted.tap = interrupted
    unwanted.ask(NEVER)
    assert not {*running()} & {*TORCHS}


def test_a_window_that_is_over_is_asked_no_more(unwanted: Calls) -> None:
    unwanted.finish()
    unwanted.ask(0)
    assert (running(), unwanted.unasked) == (TORCHS, NEVER)


def test_what_another_call_issues_is_no_call_of_its_own(calls: Calls) -> None:
    issued = Issued()
    with calls.inside:
        issued.wrapped()(torch.ones(4))
    assert (issued.calls, calls.seen, calls.host) == (1, 0, [])


def test_a_function_that_the_program_took_before_us_is_tapped(unwanted: Calls, tmp_path: Path) -> None:
    taken = TAPPED[0]
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        taken(torch.ones(3))
        unwanted.recording = True
        unwanted.ask(100)
        taken(torch.ones(4))
    finally:
        dist.destroy_process_group()
    assert [sent for _, sent, *_ in unwanted.host] == [4]


def test_a_function_without_c10ds_decorator_is_named(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(distributed_c10d, "all_reduce", inspect.unwrap(dist.all_reduce))
    c10d.watch_c10d()
    assert capsys.readouterr().err == (
        "traceana: torch's all_reduce is not as we know it, so its calls may have no sizes\n"
    )
