"""Puts the `nn.Module` that issued a call onto what the trace has of it: its path, its class, and its layer's class."""

from collections.abc import Iterable, Sequence
from typing import Any

from traceana_capture.launcher.enclosing import Enclosing, Event

KEYS = ("traceana module", "traceana module class", "traceana layer")
# A module's path from the model, its class, and the class of the numbered layer that it is in; "" where there is none.
Names = tuple[str, str, str]
# Thread, begin and end in nanoseconds since the epoch, and the module's number.
Place = tuple[int, int, int, int]


def module_keys(modules: Sequence[Names], number: int) -> dict[str, str]:
    """What is written of the module of this number; nothing of a negative one."""
    names = modules[number] if number >= 0 else ("", "", "")
    return {key: name for key, name in zip(KEYS, names, strict=True) if name}


class Places:
    """From when to when modules issued calls that others describe."""

    def __init__(self, places: Iterable[Place], modules: Sequence[Names], base_ns: int) -> None:
        self._modules = modules
        self._open = Enclosing(
            {"tid": thread, "ts": (begin - base_ns) / 1000, "dur": (end - begin) / 1000, "module": module}
            for thread, begin, end, module in places
        )

    def keys(self, thread: Any, time: float) -> dict[str, str]:
        """What is written of the module that issued a call on this thread at this time in the trace's microseconds."""
        found = self._open.at(thread, time)
        return module_keys(self._modules, found[0]["module"]) if found else {}

    def mark(self, events: Iterable[Event]) -> None:
        """Mark what c10d says of its calls on the host."""
        for event in events:
            if event.get("name") == "record_param_comms" and event.get("ph") == "X":
                event.setdefault("args", {}).update(self.keys(event.get("tid"), event["ts"]))
