"""A rank's profiler window: opened, closed, exported as plain JSON beside its final place; and then the next one."""

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import torch

from traceana_capture.agent import bounds, delay, profiler, rank, sigterm
from traceana_capture.agent.call_notes import CALLS, NEVER
from traceana_capture.agent.closing import Closing, State
from traceana_capture.agent.control import Control
from traceana_capture.agent.forks import leave_without_destructors

LIMIT = "--max-collectives were recorded"


class Window(Closing):
    """Records from `open` to `close`; both do nothing the second time, until the next window is ordered."""

    def __init__(self, settings: dict[str, Any], control: Control) -> None:
        super().__init__(settings, control)
        # Tells the launcher who this process is; False where nobody is there to be told.
        self.introduce: Callable[[], bool] = lambda: False
        # What the window waits for, in words.
        self.waits_for: Callable[[], str] = lambda: ""
        self._warm = self._in_the_way = self._lone = self._introduced = False
        self._due = 0.0
        self._limit = NEVER
        self._first = settings
        self._gone = "it has one window only"

    def warm_up(self) -> None:
        """Pay for the profiler's first start, which takes seconds, before the window; waits for CUDA's own start."""
        busy = torch.autograd.profiler._is_profiler_enabled
        if self._warm or busy or not profiler.cuda_is_settled() or not self._chosen():
            return
        self._warm = True
        self.say(event="warming up")
        profiler.warm_up(self.settings)
        self.say(event="waiting")

    def open(self, *, lone: bool = False) -> None:
        """Start recording, unless the delay, counted from the first call, is not over.

        A `lone` program may do without torch.distributed: it reached the work that it was captured for.
        """
        self._lone |= lone
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
        self._mark.unset()
        self._become(State.OVER)
        self.say(event="failed", reason=reason)

    def may_be_ordered(self) -> bool:
        """Whether the next window may be: none is open, and none is to come for good."""
        with self._lock:
            return self._is(State.RESTING) or self._is(State.WAITING)

    def order(self, number: int, bounds: dict[str, Any]) -> None:
        """Wait for the moment to open the window of this number, with these bounds."""
        with self._lock:
            self.number, self.settings = number, self.settings | bounds
            self._due, self._asked, self._stopper, self._done = 0.0, "", None, threading.Event()
            self._become(State.WAITING)
        self.say(event="waiting")

    def refuse(self, number: int) -> None:
        """Say that this process does not take part in the window of this number."""
        reason = self._gone if self._is(State.OVER) else "the window before it was still open"
        self.control.send(window=number, event="failed", reason=reason)

    def cancel(self) -> None:
        """Wait no more."""
        with self._lock:
            waited = self._is(State.WAITING)
            if waited:
                self._become(self._after())
        if waited:
            self.say(event="closed", reason="it was closed before it opened")

    def awaits(self) -> bool:
        """Whether it is still to open."""
        return self._is(State.WAITING)

    def is_delayed(self) -> bool:
        """Whether it would open but for the delay."""
        return bool(self._due)

    def retire(self) -> None:
        """There is nobody to record for."""
        if self._is(State.WAITING) or self._is(State.RESTING):
            self._become(State.OVER)

    def _open(self) -> None:
        if torch.autograd.profiler._is_profiler_enabled:
            if not self._in_the_way:
                self._in_the_way = True
                self.say(event="waiting", reason="the program's own profiler was running")
            return
        self.warm_up()
        if not self._due:
            self._due = time.monotonic() + self.settings["delay_s"]
            if delay.is_by_time(self.settings):
                CALLS.ask(NEVER)
                delay.wait(self.settings["delay_s"], self.check, self._delay_is_over)
        if time.monotonic() >= self._due and self._is(State.OPENING):
            self._record()

    def _delay_is_over(self) -> None:
        # What is in the way now is not at some later collective.
        if not self._is(State.RECORDING):
            CALLS.ask(0)

    def _record(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        everywhere = self.settings["all_threads"] or not main
        if everywhere and not profiler.knows_all_threads():
            what = "a window that another thread than the main one begins" if not main else "--all-threads"
            return self._give_up(f"torch {torch.__version__} is too old for {what}")
        self._owner = None if everywhere else threading.get_ident()
        if main:
            signal.signal(delay.WAKE, lambda *_: self.check())
            sigterm.watch(self.close)
        session = profiler.of_profiler(self.settings, all_threads=everywhere)
        profiler.start(session)
        CALLS.since, self._began = time.time_ns(), time.monotonic()
        self._limit = CALLS.seen + self.settings["max_collectives"]
        CALLS.ask(self._limit)
        self._mark.set()
        self.say(event="recording", gpu=profiler.gpu(), time=time.time())
        self.profiler = session
        # From here on the window may be closed at any moment, by a signal that the main thread gets.
        self._become(State.RECORDING)
        return bounds.watch(self.settings, self._mark.path.with_suffix(".flush"), self._done, self.close)

    def _chosen(self) -> bool:
        """Whether this process is a rank, or a program by itself at its work, and one that was asked for."""
        if not torch.distributed.is_initialized() and not self._is_alone():
            return False
        ranks = self.settings["ranks"]
        if ranks and rank.facts()["rank"] not in ranks:
            self._gone = "not among --ranks"
            self._become(State.OVER)
            self.say(event="left out", reason=self._gone)
        return not self._is(State.OVER)

    def _is_alone(self) -> bool:
        if self._lone and not self._introduced:
            self._introduced = True
            if not self.introduce():
                self.retire()
        return self._lone

    def check(self) -> None:
        """Do what another thread asked for, if this one may, or what the delay's end asks for."""
        super().check()
        if self._due and self._is(State.WAITING):
            self.open()

    def collective(self) -> None:
        """One collective too many comes, or one after a request that had to wait."""
        if not self._is(State.RECORDING):
            return  # another thread exports; this one need not wait for it
        if self._asked:
            self.check()
        elif CALLS.seen >= self._limit:
            self.close(LIMIT)
        else:
            # Another thread meant to have the window opened while it was.
            CALLS.ask(self._limit)

    def _renew(self) -> None:
        """Nobody has asked for its end, nor stops it."""
        self._lock, self._done, self._asked, self._stopper = threading.RLock(), threading.Event(), "", None

    def leave(self) -> None:
        """The process ends, so a CUDA graph that is being captured is lost anyway."""
        self.holds = 0
        self.close("the process ended")
        if self._is(State.RESTING):
            self._become(State.OVER)
        elif self._is(State.WAITING):
            # A delay must not end in an interpreter that does.
            self._become(State.OVER)
            if not self._in_the_way:
                self.say(event="waiting", reason=f"the process ended while it waited: {self.waits_for()}")

    def forget(self) -> None:
        """In a forked child: the parent's session is not ours to stop, and its lock may be held by nobody here."""
        self._renew()
        self._introduced = False
        self.number, self.settings = 1, self._first
        if self._warm:
            leave_without_destructors()
        # A child of a recording parent has no window: the thread's session is a copy that cannot be replaced.
        if self.profiler is not None:
            torch._C._autograd._clear_callbacks()  # type: ignore[attr-defined]
            torch.autograd.profiler._is_profiler_enabled = False
            self.profiler = None
            self._become(State.OVER)
        else:
            self._become(State.WAITING)
