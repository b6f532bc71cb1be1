"""What a window does while other threads open it, close it, or ask for either."""

import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from traceana_capture.agent import window
from traceana_capture.agent.call_notes import NEVER, Calls


def test_a_collective_does_not_wait_for_another_threads_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank that waits may be the one that the export waits for."""
    fresh = Calls()
    monkeypatch.setattr(window, "CALLS", fresh)
    control: Any = None
    exporting = window.Window({}, control)
    exporting.state, exporting._stopper, fresh.over = window.State.EXPORTING, -1, True
    monkeypatch.setattr(exporting._done, "wait", lambda: pytest.fail("waited"))
    exporting.collective()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    fresh = Calls()
    monkeypatch.setattr(window, "CALLS", fresh)
    return fresh


SETTINGS = {"step_on": "", "warmup": 0, "steps": 0}


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
    calls.ask(0)
    delayed._open_in(3)
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
    recording.state, recording._limit, calls.seen = window.State.RECORDING, 20, 5
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
    recording.state, recording.holds = window.State.RECORDING, 1
    recording.close("the steps were over")
    assert (calls.unasked, recording._asked) == (0, "the steps were over")


def test_no_window_opens_in_a_process_that_ends(calls: Calls) -> None:
    control: Any = None
    window.Window({}, control).leave()
    assert calls.over
