"""Names and numbers of a rank's processes and tracks in a merge.

Everything that Perfetto numbers is numbered anew, since ranks share process ids, streams and correlation ids. Numbers
stay inside uint32, beyond which Perfetto takes them for 0, and no thread has its process' number, which would mark it
as the main thread.
"""

from collections.abc import Iterator

import msgspec
import numpy as np

from traceana.perfetto.call_rows import CallRows
from traceana.perfetto.layout import Layout, TrackKey
from traceana.perfetto.whole_events import Identity, WholeEvent, arguments
from traceana.trace.columns import Ints
from traceana.trace.lanes import lanes

COLLECTIVES = "collectives"
"""The process that has the collectives of all ranks, one track below the other."""

_COLLECTIVES_PID = 1


class Naming(msgspec.Struct, frozen=True, kw_only=True):
    """How a rank's processes are called: "rank 3 · GPU 0 · host · backend", as far as each is known."""

    rank: str
    host: str | None
    backend: str | None
    sort_index: int

    def process(self, layout: Layout, pid: Identity) -> str:
        """The name of a process of the file."""
        device = f"GPU {pid}" if pid in layout.devices else "CPU"
        backend = self.backend if pid == layout.main else None
        return " · ".join(part for part in (self.rank, device, self.host, backend) if part)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the events of a track go: its process and, lane by lane, its threads."""

    pid: int
    tids: range


class Numbers:
    """Numbers from `first` on: processes, the main one first; the collectives; then tracks with their lanes."""

    def __init__(self, layout: Layout, calls: CallRows, first: int) -> None:
        self.pids = _processes(layout, first)
        self.main = first
        self.call_lanes: Ints = lanes(calls.start_ns, calls.end_ns)
        number = first + len(self.pids)
        call_lanes = int(self.call_lanes.max()) + 1 if len(calls) else 0
        self.collectives = Place(pid=_COLLECTIVES_PID, tids=range(number, number + call_lanes))
        number += call_lanes
        self.places: dict[TrackKey, Place] = {}
        for track in layout.tracks:
            pid = self.pids.get(track.key[0], max(self.pids.values(), default=first))
            self.places[track.key] = Place(pid=pid, tids=range(number, number + track.lanes))
            number += track.lanes
        self.count = number - first

    def names(self, layout: Layout, naming: Naming) -> Iterator[WholeEvent]:
        """Metadata events that name and order all of it."""
        for order, (pid, number) in enumerate(self.pids.items()):
            yield _metadata("process_name", number, None, {"name": naming.process(layout, pid)})
            yield _metadata("process_sort_index", number, None, {"sort_index": naming.sort_index + min(order, 3)})
        if self.collectives.tids:
            yield _metadata("process_name", _COLLECTIVES_PID, None, {"name": COLLECTIVES})
            yield _metadata("process_sort_index", _COLLECTIVES_PID, None, {"sort_index": -1})
            yield from _lane_names(self.collectives, f"{naming.rank} · {COLLECTIVES}", self.collectives.tids[0])
        for index, track in enumerate(layout.tracks):
            yield from _lane_names(self.places[track.key], track.name, index)


def _processes(layout: Layout, first: int) -> dict[Identity, int]:
    """Numbers of the file's processes, the main one's first.

    Kineto books its own overhead under process -1; that goes to the last process, the program's own.
    """
    pids = {track.key[0] for track in layout.tracks}
    pids -= {pid for pid in pids if isinstance(pid, int | float) and pid < 0 and pid != layout.main}
    order = sorted(pids, key=lambda pid: (pid != layout.main, pid not in layout.devices, str(pid)))
    return {pid: first + index for index, pid in enumerate(order)}


def _lane_names(place: Place, name: str, order: int) -> Iterator[WholeEvent]:
    for lane, tid in enumerate(place.tids):
        yield _metadata("thread_name", place.pid, tid, {"name": f"{name} ({lane + 1})" if lane else name})
        yield _metadata("thread_sort_index", place.pid, tid, {"sort_index": order})


def _metadata(name: str, pid: int, tid: int | None, args: dict[str, object]) -> WholeEvent:
    return WholeEvent(ph="M", name=name, pid=pid, tid=tid, args=arguments(args))


def stride(counts: list[int]) -> int:
    """A round distance between the first numbers of neighbouring ranks."""
    return int(10 ** np.ceil(np.log10(max(*counts, 100) + 1)))
