"""Communicators that other packages describe, by the entry point `traceana.adapters`.

The entry point's name is the module whose calls are described, and what it names is a mapping:
`{"backend": "mycomm", "calls": {"Communicator.sum": "all_reduce"}, "group": "process_group"}`. It is loaded when that
module is, and not before. What is wrong with it is noted for run.json, and costs its calls their sizes.
"""

import functools
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from traceana_capture.agent import direct, routes
from traceana_capture.agent.triggers import Triggers

GROUP = "traceana.adapters"
# What the description calls an operation -> c10d's word for it.
WORDS = {
    "all_reduce": "allreduce",
    "all_gather": "_allgather_base",
    "reduce_scatter": "_reduce_scatter_base",
    "all_to_all": "all_to_all",
    "broadcast": "broadcast",
    "reduce": "reduce",
}
_KEYS = {"backend", "calls", "group"}


@functools.lru_cache
def _points() -> dict[str, EntryPoint]:
    """By the module that they describe."""
    try:
        return {point.name: point for point in entry_points(group=GROUP)}
    except Exception as error:  # a broken package of somebody else's
        routes.FAULTS.append(f"entry points {GROUP} cannot be read: {error!r}")
        return {}


def knows(name: str) -> bool:
    """Whether the module of this name is wrapped."""
    return name in _points()


def wrap(module: ModuleType, _triggers: Triggers, _backend: str) -> None:
    """Wrap what the package describes of the module."""
    point = _points()[module.__name__]
    try:
        _describe(module, point.load())
    except Exception as error:
        routes.FAULTS.append(f"{GROUP} {point.name} ({point.value}): {type(error).__name__}: {error}")


def _describe(module: ModuleType, description: dict[str, object]) -> None:
    unknown = description.keys() - _KEYS
    if unknown:
        raise ValueError(f"there is no {', '.join(sorted(unknown))}, only {', '.join(sorted(_KEYS))}")
    backend, calls, group = description["backend"], description["calls"], description.get("group", "group")
    if not (isinstance(backend, str) and isinstance(calls, dict) and isinstance(group, str)):
        raise TypeError("backend and group are texts, and calls a dictionary")
    others = {str(word) for word in calls.values()} - WORDS.keys()
    if others:
        raise ValueError(f"{', '.join(sorted(others))} is none of {', '.join(WORDS)}")
    words = {path: WORDS[word] for path, word in calls.items()}
    missing = direct.describe(module, backend, words, lambda owner: getattr(owner, group, None))
    if missing:
        raise ValueError(f"{module.__name__} has no {', '.join(missing)}")
