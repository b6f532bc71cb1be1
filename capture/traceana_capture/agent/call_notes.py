"""Notes what a collective moved, beside the trace.

A call that launches kernels has a numbered span in the trace, which leads from the kernels to the note. A call of gloo
has a span of torch's own, and is found by its time, which costs the program less and makes the trace no larger.
"""

import contextlib
import itertools
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import torch

from traceana_capture.agent.call_keys import forget_groups
from traceana_capture.agent.modules import MODULES, NO_MODULE

SPAN = "traceana::"
# What a call is: the keys that it shares with others, elements sent, elements received, its number in its group.
Call = tuple[dict[str, Any], int | None, int | None, int | None]
# The same, and the module that issued it.
Placed = tuple[dict[str, Any], int | None, int | None, int | None, int]
# record_function goes through the dispatcher and costs ten times as much.
_Span = torch._C._profiler._RecordFunctionFast
# A call on the host, the thread that issued it, when it was called and when it returned, in nanoseconds since the
# epoch, as Kineto counts them too, and whether gloo began with it before it returned.
HostCall = tuple[dict[str, Any], int | None, int | None, int | None, int, int, int, int, bool]
NEVER = sys.maxsize
NO_SPAN = contextlib.nullcontext()
# No more than this is sent on the host by a scheduler that tells its workers that there is no work.
IDLE_BYTES = 16


class _Inside(threading.local):
    """Entered while a call runs: what it issues in turn is no call of its own."""

    call = False

    def __enter__(self) -> None:
        self.call = True

    def __exit__(self, *_: object) -> None:
        self.call = False


class _Latest(threading.local):
    """The latest call of a thread: its span's number, or the graph that it belongs to."""

    number = -1
    graph: list[Placed | None] | None = None
    call: Placed | None = None


class _Place:
    """Notes from when to when a call that others describe ran, and in which module."""

    __slots__ = ("begin", "calls", "module")

    def __init__(self, calls: "Calls") -> None:
        self.calls = calls

    def __enter__(self) -> None:
        self.module, self.begin = MODULES.current(), time.time_ns()

    def __exit__(self, *_: object) -> None:
        if self.module != NO_MODULE and self.calls.recording:
            thread = threading.get_native_id()
            self.calls.places.append((thread, self.begin, time.time_ns(), self.module))


class Calls:
    """The calls of this process's window, by span number, and those of each CUDA graph."""

    def __init__(self) -> None:
        self.recording = False
        self.over = False
        self.capturing = 0
        self.inside = _Inside()
        # Entered while a framework makes a group: what it sends there is no call of the program.
        self.making = _Inside()
        # Whether another backend may carry c10d's calls.
        self.routed = False
        # Collectives with a payload that came, and before which one the window is asked.
        self.seen, self.unasked = 0, NEVER
        # Calls that c10d knows nothing of, counted from the start, also while nobody asks.
        self.direct = 0
        self.before: Callable[[], None] = lambda: None
        # Has c10d's collectives come here: whether somebody wants to know of them, and whether another may carry them.
        self.tap: Callable[[bool, bool], None] = lambda *_: None
        self.calls: dict[int, Placed] = {}
        self.host: list[HostCall] = []
        # Thread, begin and end in nanoseconds since the epoch, and module of calls that NCCL or the recorder describes.
        self.places: list[tuple[int, int, int, int]] = []
        # The steps that were counted: number, thread, begin and end in nanoseconds since the epoch.
        self.steps: list[tuple[int, int, int, int]] = []
        # When the window began.
        self.since = 0
        self.graphs: list[list[Placed | None]] = []
        self._latest = _Latest()
        self._numbers = itertools.count()

    def ask(self, unasked: int) -> None:
        """Ask the window before the collective of this number; a window that is over is asked no more."""
        self.unasked = NEVER if self.over else unasked
        self.listen()

    def listen(self) -> None:
        """Have c10d's collectives come here as long as somebody wants to know of them."""
        # Again where another thread, or a signal's handler in the midst of this, changed what is wanted.
        state = None
        while state != (state := (self.unasked != NEVER or self.capturing > 0, self.routed)):
            self.tap(*state)

    def come(self) -> None:
        """A collective comes."""
        if self.seen >= self.unasked:
            self.before()
        self.seen += 1

    def come_directly(self) -> None:
        """A collective comes that c10d does not carry."""
        self.come()
        self.direct += 1

    def uncount(self) -> None:
        """What came was no collective of the program's work."""
        self.seen -= 1

    def placed(self) -> Any:
        """A context that notes which module issued the call in it, where something else tells what the call is."""
        return _Place(self) if self.recording else NO_SPAN

    def begin_graph(self) -> None:
        """From here on, calls belong to a CUDA graph: nothing is launched, so they count at its replays."""
        self.graphs.append([])
        self.capturing += 1
        self.listen()

    def end_graph(self) -> None:
        """The graph's capture is over."""
        self.capturing = max(0, self.capturing - 1)
        self.listen()

    def finish(self) -> None:
        """There will be no window any more: note nothing, and keep nothing."""
        self.recording, self.over = False, True
        self.rest()
        self.graphs = []
        MODULES.clear()

    def rest(self) -> None:
        """A window is over, and none is awaited: nobody asks, and no process group is kept alive.

        What CUDA graphs hold stays, for their replays in a later window.
        """
        self.ask(NEVER)
        self.calls, self.host, self.steps, self.places = {}, [], [], []
        self._numbers = itertools.count()
        forget_groups()

    def note(self, call: Call, begin: int, *, begun: bool) -> None:
        """A call on the host returned; `begun` where gloo is known to have begun with it."""
        end = time.time_ns()
        self.host.append((*call, MODULES.current(), threading.get_ident(), begin, end, begun))

    def span(self, keys: dict[str, Any], sent: int | None, received: int | None, sequence: int | None) -> Any:
        """A profiler span that stands for the call; nothing outside the window and inside a CUDA graph's capture."""
        latest = self._latest
        latest.graph, latest.number = None, -1
        if self.capturing and not self.over:
            latest.graph, latest.call = self.graphs[-1], (keys, sent, received, None, MODULES.current())
            latest.graph.append(latest.call)
        if self.capturing or not self.recording:
            return NO_SPAN
        latest.number = next(self._numbers)
        self.calls[latest.number] = (keys, sent, received, sequence, MODULES.current())
        return _Span(f"{SPAN}{latest.number}")

    def take_back(self) -> None:
        """This thread's latest call did nothing, and its caller issues it in another way."""
        self.uncount()
        latest = self._latest
        if latest.graph is None:
            self.calls.pop(latest.number, None)
            return
        # The place stays, because others may be adding to the graph.
        at = next((row for row in reversed(range(len(latest.graph))) if latest.graph[row] is latest.call), None)
        if at is not None:
            latest.graph[at] = None

    def export(self) -> dict[str, Any]:
        """All calls, ready for JSON: shared keys are written once, and calls as short lists that begin with theirs.

        A call's place is its span's number; where it was taken back there is None.
        """
        table: dict[int, int] = {}
        keys: list[dict[str, Any]] = []

        def short(call: Placed | HostCall | None) -> list[int | None] | None:
            if call is None:
                return None
            shared, *numbers = call
            at = table.setdefault(id(shared), len(keys))
            if at == len(keys):
                keys.append(shared)
            return [at, *numbers]

        calls = [short(self.calls.get(number)) for number in range(max(self.calls, default=-1) + 1)]
        graphs = [[short(call) for call in graph if call is not None] for graph in self.graphs]
        host = list(map(short, self.host))
        found = {"calls": calls, "host": host, "graphs": graphs, "keys": keys, "steps": self.steps, "since": self.since}
        return found | {"places": self.places, "modules": MODULES.names}


CALLS = Calls()
