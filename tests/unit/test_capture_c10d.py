"""The wrapper of c10d's functions: every call is issued once, whatever it does, and noted only when it was issued."""

from typing import Any

import pytest
import torch
from traceana_capture import c10d
from traceana_capture.calls import Calls


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

        return c10d._wrapped(all_reduce, c10d.COLLECTIVES["all_reduce"])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Those of an open window, in a group that has no numbers."""
    fresh = Calls()
    fresh.recording, fresh.unasked = True, 100
    monkeypatch.setattr(c10d, "CALLS", fresh)
    monkeypatch.setattr(c10d, "kind", lambda *_: ({}, None))
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
    ((_, sent, received, number, begin, end),) = calls.host
    assert (issued.calls, sent, received, number) == (2, 6, 6, None)
    assert begin <= end


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
        all_reduce(torch.ones(4))
    assert asked == [2, 3]
