"""Puts spans around a framework's methods, and tells the triggers of its work and its steps."""

import functools
import importlib.metadata
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from traceana_capture.agent.frameworks import TRIED, Need
from traceana_capture.agent.triggers import Triggers, around


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A method, the name of its span from its arguments, and whether its calls are the program's work or a step."""

    owner: str
    method: str
    span: Callable[..., str]
    work: bool = False
    step: bool = False


def needs_of_hooks(module: str, hooks: tuple[Hook, ...]) -> tuple[Need, ...]:
    """What `install` wraps."""
    return tuple(Need(module=module, path=f"{hook.owner}.{hook.method}") for hook in hooks)


def require(module: ModuleType, needs: tuple[Need, ...], backend: str) -> None:
    """Raise Refusal where the module that is there lacks a class, a function or a parameter of these needs."""
    for need in needs:
        if need.module != module.__name__:
            continue
        found: Any = module
        for name in need.path.split("."):
            found = None if found is None else getattr(found, name, None)
        path = need.path.removesuffix(".__init__")
        if found is None:
            raise refusal(backend, f"{module.__name__}.{path} is missing")
        missing = set(need.parameters) - set(inspect.signature(found).parameters if need.parameters else ())
        if missing:
            raise refusal(backend, f"{path}'s {', '.join(sorted(missing))} is missing")


def require_of(made: object, attributes: tuple[str, ...], backend: str) -> None:
    """Raise Refusal where the object that the framework made lacks one of these attributes."""
    missing = [name for name in attributes if not hasattr(made, name)]
    if missing:
        raise refusal(backend, f"{type(made).__name__}.{missing[0]} is missing")


def lacking(backend: str, framework: str) -> "Refusal":
    """The error where a framework has no such backend at all."""
    return refusal(backend, f"{framework} has no such way")


def adapter(title: str, package: str) -> str:
    """How run.json calls the adapter: with the framework's version, and whether it was tried with that."""
    version = importlib.metadata.version(package)
    return f"{title} {version}" + ("" if version in TRIED[package] else " (not tried; has all that is needed)")


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
    spanned = _spanned(original, hook)
    if hook.work:
        real = around(spanned, triggers.work, lambda: None)
    elif hook.step and not triggers.step_on:
        real = around(spanned, triggers.begin_step, triggers.end_step)
    else:
        return spanned

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        warm = any(map(_is_warm_up, (*args[1:], *kwargs.values())))
        return (spanned if warm else real)(*args, **kwargs)

    return call


def _is_warm_up(value: Any) -> bool:
    """Whether a request, or each of a batch of them, is one that a server sends to itself."""
    if isinstance(value, list):
        return bool(value) and all(map(_is_warm_up, value))
    return getattr(value, "is_warmup", False) is True


def _name(hook: Hook, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    try:
        return hook.span(*args, **kwargs)
    except Exception:  # another version's arguments
        return hook.method


def _spanned(original: Any, hook: Hook) -> Any:
    import torch

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        with torch.profiler.record_function(_name(hook, args, kwargs)):
            return original(*args, **kwargs)

    return call


class Refusal(RuntimeError):
    """Ends a run whose backend cannot be chosen."""


def refusal(backend: str, reason: str) -> Refusal:
    """The error that ends a run whose backend cannot be chosen."""
    return Refusal(f"traceana: --backend {backend} cannot be done: {reason}; use --backend asis")


def pairs_refusal(backend: str, reason: str) -> Refusal:
    """The error that ends a run whose calls cannot be paired on a backend."""
    return Refusal(f"traceana: --paired on {backend} cannot be done: {reason}; leave {backend} out of --paired")
