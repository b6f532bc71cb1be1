"""Decides when a window opens and closes: a request, a collective, a named function, or a count of steps."""

import functools
import inspect
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from traceana_capture.agent import issued
from traceana_capture.agent.call_notes import CALLS, NEVER
from traceana_capture.agent.waiting import missing
from traceana_capture.agent.window import Window


class Spans:
    """Notes when the steps that have no span of a framework's own began and ended, each on its thread."""

    def __init__(self) -> None:
        self._began: dict[int, int] = {}

    def begin(self) -> None:
        """A step begins here."""
        self._began[threading.get_native_id()] = time.time_ns()

    def end(self, number: int) -> None:
        """The step that began on this thread is over; one that began before the window is none of it."""
        thread = threading.get_native_id()
        began = self._began.pop(thread, None)
        if began is not None and CALLS.recording and began >= CALLS.since:
            CALLS.steps.append((number, thread, began, time.time_ns()))


class Place(NamedTuple):
    """How far the program is: works reached (requests, pipelines, optimizer's steps), steps begun, collectives issued.

    All ranks of a program count alike, so that a window that is ordered for a place opens on all at the same moment.
    """

    works: int = 0
    steps: int = 0
    collectives: int = 0


class Triggers:
    """What the program reports to.

    A step is a call of `--step-on`, or a denoising step of sglang or diffusers, or ends with an optimizer's step.
    """

    def __init__(self, settings: dict[str, Any], window: Window, has_requests: Callable[[], bool]) -> None:
        self.window = window
        self.has_requests = has_requests
        self.start_on, self.step_on = str(settings["start_on"]), str(settings["step_on"])
        self.warmup, self.steps = int(settings["warmup"]), int(settings["steps"])
        # The modules whose functions the options name.
        self.modules = {target.partition(":")[0] for target in (self.start_on, self.step_on) if target}
        self.counts = bool(self.step_on or self.warmup or self.steps)
        self.started = not self.start_on
        self._seen = 0
        self._recorded = 0
        self._works = self._begun = 0
        # Where a window that was ordered opens.
        self._from = Place()
        self._spans = Spans()
        window.waits_for, window.still_to_come = self.waits_for, self.still_to_come

    def work(self, *, lone: bool = True) -> None:
        """The program reached its work; opens the window unless options say otherwise.

        A `lone` program needs no torch.distributed for that.
        """
        self._works += 1
        if self.started and not self.counts and self._works >= self._from.works:
            self.window.open(lone=lone)

    def place(self) -> Place:
        """How far the program is."""
        return Place(self._works, self._begun, issued.collectives())

    def order(self, number: int, place: Place, bounds: dict[str, Any]) -> None:
        """Open the next window at this place, or at the first moment after it."""
        if not self.window.may_be_ordered():
            self.window.refuse(number)
            return
        self.steps, self._recorded, self._from = int(bounds["steps"]), 0, place
        self.counts = bool(self.step_on or self.warmup or self.steps)
        self.window.order(number, bounds | {"delay_s": 0.0})
        self.listen()

    def waits_for(self) -> str:
        """What did not come, and what to ask for instead."""
        due, requests = self.window.is_delayed(), self.has_requests()
        return missing(self.window.settings, started=self.started, seen=self._seen, requests=requests, due=due)

    def still_to_come(self) -> str:
        """What of `--steps` is recorded, where it is not all."""
        return f"{self._recorded} of --steps {self.steps}" if self._recorded < self.steps else ""

    def listen(self) -> None:
        """Have collectives come from now on if the next one opens the window."""
        if not CALLS.recording:
            CALLS.ask(0 if self._collectives_open() and self.window.awaits() else NEVER)

    def _collectives_open(self) -> bool:
        """Whether they are the work of a program that has no requests, or in its optimizer's next step."""
        # A window that is ordered opens with what the program has been seen to do.
        other = self.window.number > 1 and (self._works or self._begun)
        ready = self.started and not self.step_on and self._seen >= self.warmup
        return bool(ready and not other and not self.has_requests())

    def collective(self) -> None:
        """A collective comes that was asked for."""
        if self.window.profiler is not None:
            self.window.collective()
        elif self._collectives_open():
            if self.window.number == 1 or issued.collectives() >= self._from.collectives:
                self.window.open()
        else:
            self.listen()

    def optimizer_step(self) -> None:
        """An optimizer's step is over, and the next one begins; DDP's collectives show nowhere else.

        A program that learns something before it sets up its process group is no lone one for that.
        """
        lone = bool(self.start_on)
        if not self.step_on:
            self._end_named_step()
            self.begin_step(lone=lone)
        self.work(lone=lone)
        if not self.step_on:
            self._spans.begin()

    def start(self) -> None:
        """The function of `--start-on` was called."""
        if not self.started:
            self.started = True
            self.listen()
        self.work()

    def begin_step(self, *, lone: bool = True) -> None:
        """A step begins; opens the window after the warm-up."""
        self._begun += 1
        if self.counts and self.started and self._seen >= self.warmup and self._begun >= self._from.steps:
            self.window.open(lone=lone)

    def end_step(self) -> None:
        """A step is over; closes the window after the last one."""
        self._seen += self.started
        if self._seen == self.warmup:
            self.listen()
        self._recorded += self.window.profiler is not None
        if self.steps and self._recorded == self.steps:
            self.window.close("the steps were over")

    def _begin_named_step(self) -> None:
        self.begin_step()
        self._spans.begin()

    def _end_named_step(self) -> None:
        self._spans.end(self._seen)
        self.end_step()

    def watch(self, module: ModuleType) -> None:
        """Wrap the functions of this module that the options name."""
        # Where both name one function, its first call starts before it is the first step.
        for target, before, after in (
            (self.step_on, self._begin_named_step, self._end_named_step),
            (self.start_on, self.start, _nothing),
        ):
            name, _, path = target.partition(":")
            if name == module.__name__:
                _wrap(module, path, before, after)


def _nothing() -> None: ...


def _wrap(module: ModuleType, path: str, before: Callable[[], None], after: Callable[[], None]) -> None:
    *owners, last = path.split(".")
    owner: Any = module
    for name in owners:
        owner = getattr(owner, name, None)
    original = inspect.getattr_static(owner, last, None)
    # What a static method or a class method wraps; both bind otherwise than a function does.
    binding = type(original) if isinstance(original, (staticmethod, classmethod)) else None
    function = original.__func__ if isinstance(original, (staticmethod, classmethod)) else original
    if not inspect.isroutine(function) or _is_lazy(function):
        what = "is missing" if original is None else "is no plain function or method"
        sys.stderr.write(f"traceana: {module.__name__}:{path} {what}, so the window does not open\n")
        return
    wrapped = around(function, before, after)
    setattr(owner, last, binding(wrapped) if binding else wrapped)


def _is_lazy(function: Any) -> bool:
    """Whether a call returns at once and the work follows."""
    return (
        inspect.iscoroutinefunction(function)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    )


def around(original: Callable[..., Any], before: Callable[[], None], after: Callable[[], None]) -> Any:
    """The function with `before` and `after` it; unchanged while torch compiles it."""
    import torch

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        before()
        try:
            return original(*args, **kwargs)
        finally:
            after()

    return call
