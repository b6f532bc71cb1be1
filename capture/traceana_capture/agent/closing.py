"""How a window closes: by the thread that may stop its session, and asked for by any other.

A session of torch.profiler belongs to the thread that started it: stopping it elsewhere crashes. Whoever else wants the
window closed asks for it, and the main thread is interrupted by a signal to do it. Sessions over all threads, and so
those that another thread than the main one opens, can be closed from anywhere.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Any

from traceana_capture.agent import bounds, delay, sigterm
from traceana_capture.agent.call_notes import CALLS
from traceana_capture.agent.control import Control
from traceana_capture.agent.export import export
from traceana_capture.agent.mark import Mark
from traceana_capture.agent.paired import PAIRS

PATIENCE_S = 5.0
STUCK = "its main thread did not come back from a call within {:.0f} s; --all-threads can record that too"


class State(Enum):
    """Where a window stands.

    It goes from one to the next, back from OPENING to WAITING, and from any to OVER; from RESTING also to WAITING,
    when the launcher orders the next window.
    """

    WAITING = auto()
    OPENING = auto()
    RECORDING = auto()
    EXPORTING = auto()
    RESTING = auto()
    OVER = auto()


class Closing:
    """The state of a window, and its way from RECORDING to RESTING or OVER."""

    def __init__(self, settings: dict[str, Any], control: Control) -> None:
        self.settings = settings
        self.control = control
        self.state = State.WAITING
        # Which window of this process it is.
        self.number = 1
        self.profiler: Any = None
        self.holds = 0
        # What of the steps that were asked for is not recorded.
        self.still_to_come: Callable[[], str] = lambda: ""
        self._mark = Mark(settings.get("workdir", ""))
        self._began = 0.0
        self._owner: int | None = None
        self._asked = ""
        self._stopper: int | None = None
        self._done = threading.Event()
        self._lock = threading.RLock()

    def _become(self, state: State) -> None:
        """Change the state, which nothing else does, and what follows from it for the calls."""
        self.state = state
        CALLS.recording, CALLS.over = state is State.RECORDING, state in (State.EXPORTING, State.OVER)
        if state in (State.RESTING, State.OVER):
            CALLS.rest() if state is State.RESTING else CALLS.finish()
            PAIRS.release()
            sigterm.release()

    def _after(self) -> State:
        """What follows a window: ranks pair in one window only, and nobody orders another where nobody listens."""
        once = self.settings.get("paired") or not self.control.is_connected()
        return State.OVER if once else State.RESTING

    def say(self, **message: Any) -> None:
        """Tell the launcher of this window."""
        self.control.send(window=self.number, **message)

    def _is(self, state: State) -> bool:
        """A call, because another thread or a signal changes the state between two looks at it."""
        return self.state is state

    def is_recording(self) -> bool:
        """Whether there is something to export, or somebody exports it."""
        return self.state in (State.RECORDING, State.EXPORTING)

    def hold(self) -> None:
        """Do not close until `release`: a stop would break a CUDA graph's capture."""
        self.holds += 1

    def release(self) -> None:
        """Do what was asked for meanwhile."""
        self.holds = max(0, self.holds - 1)
        self.check()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Between `hold` and `release`."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def check(self) -> None:
        """Do what another thread asked for, if this one may."""
        if self._asked and self._may_stop():
            self._stop(self._asked)

    def close(self, reason: str) -> None:
        """Stop and export, or have it done: at once, after a CUDA graph's capture, or by the thread that may."""
        if self._stopper is not None:
            if self._stopper != threading.get_ident():
                self._done.wait()
        elif self._is(State.RECORDING):
            self._stop(reason) if self._may_stop() else self._ask(reason)

    def _ask(self, reason: str) -> None:
        self._asked = self._asked or reason
        CALLS.ask(0)
        if threading.current_thread() is threading.main_thread():
            return
        if self._owner is not None:
            signal.pthread_kill(self._owner, delay.WAKE)
        end = time.monotonic() + PATIENCE_S
        while not self._done.wait(bounds.LOOK_S) and (self._stopper is not None or time.monotonic() < end):
            pass
        if self._stopper is None:
            self.say(event="failed", reason=f"{reason}, and {STUCK.format(PATIENCE_S)}")

    def _may_stop(self) -> bool:
        return not self.holds and self._owner in (None, threading.get_ident())

    def _stop(self, reason: str) -> None:
        with self._lock:
            if self._stopper is not None:
                return
            self._stopper = threading.get_ident()
            lasted_s = time.monotonic() - self._began
            self._become(State.EXPORTING)
            try:
                self.say(event="exporting")
                done = export(self.profiler, self._mark.path.with_suffix(f".{self.number}.json"), reason)
                self.say(**done, lasted_s=lasted_s, still_to_come=self.still_to_come())
            finally:
                self.profiler = None
                self._mark.unset()
                self._become(self._after())
                self._done.set()
