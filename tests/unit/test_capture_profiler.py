"""The profiler's first session, with a stand-in for Kineto, whose thread waits for a call of CUDA to let CUPTI go."""

import os
import sys
import threading
from typing import Any

import pytest
import torch
from traceana_capture.agent import profiler

SETTINGS = {"shapes": False, "stacks": False, "memory": False}


class Kineto:
    """A session that ends as Kineto's do where TEARDOWN_CUPTI is 1."""

    def __init__(self) -> None:
        self.detach: str | None = None
        self.calls = 0
        self.called = threading.Event()
        self.thread = threading.Thread(target=self.called.wait)

    def start(self) -> None: ...

    def stop(self) -> None:
        self.detach = os.environ.get("TEARDOWN_CUPTI")
        if self.detach == "1":
            self.thread.start()

    def query(self) -> None:
        """Of the first calls CUPTI may not know yet."""
        self.calls += 1
        if self.calls == 3:
            self.called.set()
            self.thread.join()


@pytest.fixture
def kineto(monkeypatch: pytest.MonkeyPatch) -> Kineto:
    made = Kineto()
    monkeypatch.setattr(profiler, "of_profiler", lambda _settings, *, all_threads: made)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: made)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.delenv("TEARDOWN_CUPTI", raising=False)
    return made


def test_cupti_has_left_when_the_warm_up_is_over(kineto: Kineto) -> None:
    """Its thread would keep a process that never calls CUDA again from ending."""
    profiler.warm_up(SETTINGS)
    assert (kineto.detach, kineto.calls, kineto.thread.is_alive()) == ("1", 3, False)
    assert "TEARDOWN_CUPTI" not in os.environ


@pytest.mark.parametrize(
    ("name", "value"),
    [("asked", "0"), ("asked", "1"), ("cuda", "12.8"), ("cuda", None), ("is_initialized", lambda: False)],
)
def test_what_the_user_chose_and_cuda_12_are_left_alone(
    kineto: Kineto, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    if name == "asked":
        monkeypatch.setenv("TEARDOWN_CUPTI", value)
    else:
        monkeypatch.setattr(torch.version if name == "cuda" else torch.cuda, name, value)
    profiler.warm_up(SETTINGS)
    kineto.called.set()
    assert kineto.detach == (value if name == "asked" else None)
    assert kineto.calls == 0


class Session:
    """Notes what torch is to the profiler's module while a session starts, which then fails."""

    def start(self) -> None:
        self.torch = vars(torch.profiler.profiler)["torch"]
        raise RuntimeError("no profiler here")


@pytest.mark.parametrize("why", ["imported", "asked for"])
def test_a_compiler_that_may_make_graphs_is_asked(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    if why == "imported":
        monkeypatch.setitem(sys.modules, "torch._inductor", torch)
    else:
        monkeypatch.setenv(profiler.INDUCTOR_GRAPHS, "1")
    session = Session()
    with pytest.raises(RuntimeError):
        profiler.start(session)
    assert session.torch is torch


def test_one_that_is_not_there_is_not_imported_and_torch_is_itself_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch._inductor", raising=False)
    session = Session()
    with pytest.raises(RuntimeError):
        profiler.start(session)
    assert not hasattr(session.torch, "_inductor")
    assert session.torch.ones is torch.ones
    assert vars(torch.profiler.profiler)["torch"] is torch
