"""The one profiler window of a rank: opened once, closed once, exported as plain JSON beside its final place.

A session of torch.profiler belongs to the thread that started it: stopping it elsewhere crashes. Whoever else wants the
window closed asks for it, and the main thread is interrupted by a signal to do it. Sessions over all threads, and so
those that another thread than the main one opens, can be closed from anywhere.
"""

import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum, auto
from pathlib import Path
from typing import Any

import torch

from traceana_capture.agent import bounds, profiler, sigterm
from traceana_capture.agent.call_notes import CALLS, NEVER
from traceana_capture.agent.control import Control
from traceana_capture.agent.export import export
from traceana_capture.agent.paired import PAIRS

# A real-time signal that nothing else uses; its handler stays, because a late one would end the process.
WAKE = signal.SIGRTMAX - 3
PATIENCE_S = 5.0
STUCK = "its main thread did not come back from a call within {:.0f} s; --all-threads can record that too"


class State(Enum):
    """Where a window stands. It goes from one to the next, back from OPENING to WAITING, and from any to OVER."""

    WAITING = auto()
    OPENING = auto()
    RECORDING = auto()
    EXPORTING = auto()
    OVER = auto()


class Window:
    """Records from `open` to `close`; both do nothing the second time."""

    def __init__(self, settings: dict[str, Any], control: Control) -> None:
        self.settings = settings
        self.control = control
        self.state = State.WAITING
        self.profiler: Any = None
        self.holds = 0
        self._warm = self._in_the_way = False
        self._due = 0.0
        self._limit = NEVER
        self._owner: int | None = None
        self._asked = ""
        self._stopper: int | None = None
        self._done = threading.Event()
        self._lock = threading.RLock()

    def _become(self, state: State) -> None:
        """Change the state, which nothing else does, and what follows from it for the calls."""
        self.state = state
        CALLS.recording, CALLS.over = state is State.RECORDING, state in (State.EXPORTING, State.OVER)
        if state is State.OVER:
            CALLS.finish()
            PAIRS.measured.clear()
            sigterm.release()

    def _is(self, state: State) -> bool:
        """A call, because another thread or a signal changes the state between two looks at it."""
        return self.state is state

    def warm_up(self) -> None:
        """Pay for the profiler's first start, which takes seconds, before the window; waits for CUDA's own start."""
        busy = torch.autograd.profiler._is_profiler_enabled
        if self._warm or busy or not profiler.cuda_is_settled() or not self._chosen():
            return
        self._warm = True
        self.control.send(event="warming up")
        profiler.warm_up(self.settings)
        self.control.send(event="waiting")

    def open(self) -> None:
        """Start recording, unless the delay, counted from the first call, is not over."""
        # A session's start would break a CUDA graph's capture.
        if not self._is(State.WAITING) or self.holds or not self._chosen():
            return
        with self._lock:
            # The lock lets the delay's signal in, which comes to the thread that may be opening already.
            if not self._is(State.WAITING):
                return
            self._become(State.OPENING)
            try:
                self._open()
            except Exception as error:  # whatever it is, the program goes on
                self._give_up(f"the profiler did not start: {error!r}")
            finally:
                if self._is(State.OPENING):
                    self._become(State.WAITING)

    def _give_up(self, reason: str) -> None:
        self.profiler = None
        profiler.end_anyway()
        self._unmark()
        self._become(State.OVER)
        self.control.send(event="failed", reason=reason)

    def _open(self) -> None:
        if torch.autograd.profiler._is_profiler_enabled:
            if not self._in_the_way:
                self._in_the_way = True
                self.control.send(event="waiting", reason="the program's own profiler was running")
            return
        self.warm_up()
        if not self._due:
            self._due = time.monotonic() + self.settings["delay_s"]
            self._open_in(self.settings["delay_s"])
        if time.monotonic() >= self._due and self._is(State.OPENING):
            self._record()

    def _open_in(self, delay_s: float) -> None:
        """Open by time, because one long request gives no later occasion; steps do, and are not cut."""
        if not delay_s or self.settings["step_on"] or self.settings["warmup"] or self.settings["steps"]:
            return
        CALLS.ask(NEVER)
        opens: Callable[[], None] = self.open
        if threading.current_thread() is threading.main_thread():
            signal.signal(WAKE, lambda *_: self.check())
            opens = functools.partial(signal.pthread_kill, threading.get_ident(), WAKE)

        def due() -> None:
            # What is in the way now is not at some later collective.
            if not self._is(State.RECORDING):
                CALLS.ask(0)
            opens()

        timer = threading.Timer(delay_s, due)
        timer.daemon = True
        timer.start()

    def _record(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        everywhere = self.settings["all_threads"] or not main
        self._owner = None if everywhere else threading.get_ident()
        if main:
            signal.signal(WAKE, lambda *_: self.check())
        session = profiler.of_profiler(self.settings, all_threads=everywhere)
        profiler.start(session)
        CALLS.since = time.time_ns()
        self._limit = CALLS.seen + self.settings["max_collectives"]
        CALLS.ask(self._limit)
        with contextlib.suppress(OSError):
            self._mark.touch()
        self.control.send(event="recording", gpu=profiler.gpu())
        self.profiler = session
        # From here on the window may be closed at any moment, by a signal that the main thread gets.
        self._become(State.RECORDING)
        bounds.watch(self.settings, self._mark.with_suffix(".flush"), self._done, self.close)

    @property
    def _mark(self) -> Path:
        """There from the window's start to its export's end, for the guard of a run whose launcher was killed."""
        return Path(self.settings["workdir"]) / f"{os.getpid()}.window"

    def _unmark(self) -> None:
        with contextlib.suppress(OSError):
            self._mark.unlink(missing_ok=True)

    def _chosen(self) -> bool:
        """Whether this process is a rank, and one that was asked for."""
        if not torch.distributed.is_initialized():
            return False
        ranks = self.settings["ranks"]
        if ranks and torch.distributed.get_rank() not in ranks:
            self._become(State.OVER)
            self.control.send(event="left out", reason="not among --ranks")
        return not self._is(State.OVER)

    def collective(self) -> None:
        """One collective too many comes, or one after a request that had to wait."""
        if not self._is(State.RECORDING):
            return  # another thread exports; this one need not wait for it
        if self._asked:
            self.check()
        elif CALLS.seen >= self._limit:
            self.close("--max-collectives were recorded")
        else:
            # Another thread meant to have the window opened while it was.
            CALLS.ask(self._limit)

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
        elif self._due and self._is(State.WAITING):
            self.open()

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
            signal.pthread_kill(self._owner, WAKE)
        end = time.monotonic() + PATIENCE_S
        while not self._done.wait(bounds.LOOK_S) and (self._stopper is not None or time.monotonic() < end):
            pass
        if self._stopper is None:
            self.control.send(event="failed", reason=f"{reason}, and {STUCK.format(PATIENCE_S)}")

    def leave(self) -> None:
        """The process ends, so a CUDA graph that is being captured is lost anyway."""
        self.holds = 0
        self.close("the process ended")
        if self._is(State.WAITING):
            # A delay must not end in an interpreter that does.
            self._become(State.OVER)

    def _may_stop(self) -> bool:
        return not self.holds and self._owner in (None, threading.get_ident())

    def _stop(self, reason: str) -> None:
        with self._lock:
            if self._stopper is not None:
                return
            self._stopper = threading.get_ident()
            self._become(State.EXPORTING)
            try:
                self.control.send(event="exporting")
                self.control.send(**export(self.profiler, self._mark.with_suffix(".json"), reason))
            finally:
                self.profiler = None
                self._unmark()
                self._become(State.OVER)
                self._done.set()

    def forget(self) -> None:
        """In a forked child: the parent's session is not ours to stop, and its lock may be held by nobody here."""
        self._lock, self._done, self._asked, self._stopper = threading.RLock(), threading.Event(), "", None
        # A child of a recording parent has no window: the thread's session is a copy that cannot be replaced.
        if self.profiler is not None:
            torch._C._autograd._clear_callbacks()  # type: ignore[attr-defined]
            torch.autograd.profiler._is_profiler_enabled = False
            self.profiler = None
            self._become(State.OVER)
        else:
            self._become(State.WAITING)
