"""Who carries a collective: each backend is a small class, found by the entry point `traceana.backends`."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import entry_points
from typing import Protocol

import msgspec

from traceana.bench.buffers import Buffers
from traceana.bench.world import World
from traceana.errors import TraceanaError

GROUP = "traceana.backends"


def nothing() -> None:
    """What most operations need before and after."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """`run` is timed. `load` takes the source to where `run` wants it, `unload` the result to the target.

    `in_place` says that the result takes the source's place, though the buffers are two. `capturing` is what the
    capture of a CUDA graph needs around it.
    """

    run: Callable[[], object]
    load: Callable[[], object] = nothing
    unload: Callable[[], object] = nothing
    in_place: bool = False
    capturing: Callable[[], AbstractContextManager[object]] = nullcontext


class Backend(Protocol):
    """Made once a process, on all ranks alike; raises Unavailable where it cannot run."""

    name: str
    detail: str
    """The library behind it with its version, in a few words."""

    def __init__(self, world: World) -> None: ...

    def call(self, buffers: Buffers) -> Call | str:
        """How to run the operation on the current stream, or in words why this backend does not have it."""


class Unavailable(TraceanaError):
    """A backend cannot run here; the message says why, and what would change that."""


def names() -> tuple[str, ...]:
    """All installed backends, in order of name, torch first."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}, key=lambda name: (name != "torch", name)))


def chosen(text: str | None) -> tuple[str, ...]:
    """The backends of a list with commas, all installed ones for None; NAME:SETTING is one made with a setting.

    Raises TraceanaError for one that is not installed.
    """
    installed = names()
    found = tuple(text.split(",")) if text else installed
    for name in found:
        if name.partition(":")[0] not in installed:
            raise TraceanaError(f"--backend {name}: there is no such backend; there are {', '.join(installed)}")
    return found


def load(wanted: Sequence[str], world: World) -> tuple[dict[str, Backend], dict[str, str]]:
    """Those of the installed backends `wanted` that can run here, and the others with the reason."""
    points = {point.name: point for point in entry_points(group=GROUP)}
    found: dict[str, Backend] = {}
    missing: dict[str, str] = {}
    for name in dict.fromkeys(wanted):
        kind, _, setting = name.partition(":")
        try:
            found[name] = points[kind].load()(world, *([setting] if setting else []))
        except Unavailable as reason:
            missing[name] = str(reason)
    return found, missing
