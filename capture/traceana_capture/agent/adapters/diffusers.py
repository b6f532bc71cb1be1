"""Diffusers: spans of a pipeline's call and of its denoising steps.

Pipelines and schedulers are many; each is wrapped as its class is made. A step lasts from the end of `set_timesteps` or
of the step before to the end of the scheduler's `step`, for as many steps as there are timesteps.
"""

import functools
import sys
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

from traceana_capture.agent.adapters.hooks import Hook, hooked
from traceana_capture.agent.adapters.sglang_diffusion import WORKER
from traceana_capture.agent.frameworks import Need
from traceana_capture.agent.triggers import Triggers

PIPELINES = "diffusers.pipelines.pipeline_utils"
SCHEDULERS = "diffusers.schedulers.scheduling_utils"
BASES = {PIPELINES: "DiffusionPipeline", SCHEDULERS: "SchedulerMixin"}
NEEDS = tuple(Need(module=module, path=base) for module, base in BASES.items())


def knows(name: str) -> bool:
    """Whether the module of this name is wrapped."""
    return name in BASES


def wrap(module: ModuleType, triggers: Triggers, _backend: str) -> None:
    """Have each subclass of the module's base wrapped as it is made; a base that is missing is named."""
    base = getattr(module, BASES[module.__name__], None)
    if base is None:
        sys.stderr.write(f"traceana: {module.__name__}.{BASES[module.__name__]} is missing, so its spans are\n")
        return
    original, change = base.__init_subclass__, _pipeline if module.__name__ == PIPELINES else _scheduler

    def init_subclass(kind: Any, /, **kwargs: Any) -> None:
        original.__func__(kind, **kwargs) if hasattr(original, "__func__") else original(**kwargs)
        change(kind, triggers)

    base.__init_subclass__ = classmethod(init_subclass)


def _pipeline(kind: Any, triggers: Triggers) -> None:
    if "__call__" not in vars(kind):
        return
    hook = Hook(owner="", method="__call__", span=lambda self, *_, **__: f"pipeline {type(self).__name__}", work=True)
    original, steps = hooked(kind.__call__, hook, triggers), _steps(triggers)

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, *args, **kwargs)
        finally:
            steps.drop(getattr(self, "scheduler", None))

    kind.__call__ = call


def _scheduler(kind: Any, triggers: Triggers) -> None:
    steps = _steps(triggers)
    for name, after in (("set_timesteps", steps.first), ("step", steps.next)):
        if name in vars(kind):
            setattr(kind, name, steps.then(getattr(kind, name), after))


class _Steps:
    """The step under way of each scheduler: how many are left with it, and its span."""

    def __init__(self, triggers: Triggers) -> None:
        self.triggers = triggers
        self.open: weakref.WeakKeyDictionary[Any, tuple[int, Any]] = weakref.WeakKeyDictionary()
        self._inside: set[int] = set()

    def then(self, original: Any, after: Callable[[Any], None]) -> Any:
        """The method with `after` it; once, where it calls its parent's."""

        @functools.wraps(original)
        def call(scheduler: Any, *args: Any, **kwargs: Any) -> Any:
            # Sglang's steps go through schedulers of diffusers, and each is one step.
            if torch.compiler.is_compiling() or WORKER in sys.modules or id(scheduler) in self._inside:
                return original(scheduler, *args, **kwargs)
            self._inside.add(id(scheduler))
            try:
                result = original(scheduler, *args, **kwargs)
            finally:
                self._inside.discard(id(scheduler))
            after(scheduler)
            return result

        return call

    def first(self, scheduler: Any) -> None:
        """The timesteps were set."""
        self.drop(scheduler)
        self._begin(scheduler, len(scheduler.timesteps))

    def next(self, scheduler: Any) -> None:
        """A step is over."""
        left = self.drop(scheduler)
        if left and not self.triggers.step_on:
            self.triggers.end_step()
        self._begin(scheduler, left - 1)

    def drop(self, scheduler: Any) -> int:
        """End the span of the step under way; returns how many steps were left with it."""
        left, span = self.open.pop(scheduler, (0, None)) if scheduler is not None else (0, None)
        if span is not None:
            span.__exit__(None, None, None)
        return left

    def _begin(self, scheduler: Any, left: int) -> None:
        if left <= 0:
            return
        if not self.triggers.step_on:
            self.triggers.begin_step()
        span = torch.profiler.record_function(f"denoise_step {len(scheduler.timesteps) - left}")
        span.__enter__()  # type: ignore[no-untyped-call]
        self.open[scheduler] = (left, span)


_steps = functools.lru_cache(_Steps)
