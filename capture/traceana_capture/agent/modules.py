"""Which `nn.Module` issues a call, read from the thread's own frames when the call comes.

Nothing is put onto modules: hooks would make torch's compiler compile anew, slow every module down, and need a span for
each. A module is named when it is first seen, by the modules that are running around it.
"""

import sys
import weakref
from collections import deque
from types import FrameType
from typing import Any

import torch

_RUNS = torch.nn.Module._wrapped_call_impl.__code__
# Further out than this no module counts: looking costs a tenth of a microsecond a frame.
MOST_FRAMES = 64
# A module that is not found among so many of another's is not looked for any longer.
MOST_MODULES = 4096
NO_MODULE = -1
# What wraps a module under a name of its own, which is no part of the program's.
WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
PARALLEL = (torch.nn.parallel.DistributedDataParallel, torch.nn.DataParallel)
# A module's path, its class, and the class of the numbered layer that it is in or is, each "" where there is none.
Named = tuple[str, str, str]
# The names on a path, each with its module.
_Path = list[tuple[str, Any]]


class Modules:
    """The modules that issued calls, in the order in which they first did; none is kept alive."""

    def __init__(self) -> None:
        self._numbers: dict[int, tuple[weakref.ref[Any], int]] = {}
        self.names: list[Named] = []

    def current(self) -> int:
        """The number of the innermost module that runs on this thread, or NO_MODULE."""
        frame: FrameType | None = sys._getframe(1)
        for _ in range(MOST_FRAMES):
            if frame is None:
                return NO_MODULE
            if frame.f_code is _RUNS:
                return self._number(frame)
            frame = frame.f_back
        return NO_MODULE

    def _number(self, frame: FrameType) -> int:
        module = frame.f_locals["self"]
        known = self._numbers.get(id(module))
        if known is None or known[0]() is not module:
            known = weakref.ref(module), len(self.names)
            self.names.append(_named(module, _running(frame)))
            self._numbers[id(module)] = known
        return known[1]

    def clear(self) -> None:
        """Forget them all."""
        self._numbers, self.names = {}, []


def _running(frame: FrameType | None) -> list[Any]:
    """The modules that run, the innermost first."""
    found = []
    while frame is not None:
        if frame.f_code is _RUNS:
            found.append(frame.f_locals["self"])
        frame = frame.f_back
    return found


def _named(module: Any, running: list[Any]) -> Named:
    path: _Path = []
    outermost = module
    for outer in running[1:]:
        found = _within(outer, outermost)
        if found:
            path, outermost = found + path, outer
    names = [(name, of) for name, of in path if name not in WRAPPERS]
    if isinstance(outermost, PARALLEL):
        names = names[1:]
    layer = next((_unwrapped(of) for name, of in names if name.isdigit()), None)
    whole = ".".join(name for name, _ in names)
    return whole, type(module).__name__, "" if layer is None else type(layer).__name__


def _within(outer: Any, module: Any) -> _Path:
    """The shortest path from one module to another that it has; empty where there is none."""
    waiting: deque[tuple[Any, _Path]] = deque([(outer, [])])
    seen = {id(outer)}
    while waiting and len(seen) < MOST_MODULES:
        of, path = waiting.popleft()
        for name, child in of._modules.items():
            if child is module:
                return [*path, (name, child)]
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                waiting.append((child, [*path, (name, child)]))
    return []


def _unwrapped(module: Any) -> Any:
    while inner := next((child for name, child in module._modules.items() if name in WRAPPERS), None):
        module = inner
    return module


MODULES = Modules()
