"""Puts spans around a framework's methods, and tells the triggers of its work and its steps."""

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from traceana_capture.triggers import Triggers, around


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A method, the name of its span from its arguments, and whether its calls are the program's work or a step."""

    owner: str
    method: str
    span: Callable[..., str]
    work: bool = False
    step: bool = False


def install(module: ModuleType, hooks: tuple[Hook, ...], triggers: Triggers) -> None:
    """Wrap the module's methods; one that is missing is named, because its spans will be missing too."""
    for hook in hooks:
        kind = getattr(module, hook.owner, None)
        original = getattr(kind, hook.method, None)
        if original is None:
            missing = f"{module.__name__}.{hook.owner}.{hook.method}"
            sys.stderr.write(f"traceana: {missing} is missing, so its spans are\n")
            continue
        setattr(kind, hook.method, hooked(original, hook, triggers))


def hooked(original: Any, hook: Hook, triggers: Triggers) -> Any:
    """The method with its span, and its triggers around that, which a warm-up request does not touch."""
    spanned = _spanned(original, hook.span)
    if hook.work:
        real = around(spanned, triggers.work, lambda: None)
    elif hook.step and not triggers.step_on:
        real = around(spanned, triggers.begin_step, triggers.end_step)
    else:
        return spanned

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        warm = any(getattr(value, "is_warmup", False) for value in (*args[1:], *kwargs.values()))
        return (spanned if warm else real)(*args, **kwargs)

    return call


def _spanned(original: Any, name: Callable[..., str]) -> Any:
    import torch

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        with torch.profiler.record_function(name(*args, **kwargs)):
            return original(*args, **kwargs)

    return call


def refusal(backend: str, reason: str) -> RuntimeError:
    """The error that ends a run whose backend cannot be chosen."""
    return RuntimeError(f"traceana: --backend {backend} cannot be done: {reason}; use --backend asis")
