"""Names and numbers of a rank's processes and tracks in a merge.

Everything that Perfetto numbers is numbered anew, since ranks share process ids, streams and correlation ids. Numbers
stay inside uint32, beyond which Perfetto takes them for 0, and no thread has its process' number, which would mark it
as the main thread.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from traceana.perfetto.calls import CallRows
from traceana.perfetto.events import Identity, WholeEvent, arguments
from traceana.perfetto.lanes import lanes
from traceana.perfetto.layout import Layout, TrackKey
from traceana.trace.columns import Ints

COLLECTIVES = "collectives"


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How a rank's processes are called: "rank 3 · GPU 0 · host · backend", as far as each is known."""

    rank: str
    host: str | None
    backend: str | None
    sort_index: int

    def process(self, layout: Layout, pid: Identity) -> str:
        """The name of a process of the file."""
        device = f"GPU {pid}" if pid in layout.devices else "profiler" if _is_negative(pid) else "CPU"
        backend = self.backend if pid == layout.main else None
        return " · ".join(part for part in (self.rank, device, self.host, backend) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the events of a track go: its process and, lane by lane, its threads."""

    pid: int
    tids: range


class Numbers:
    """Numbers from `first` on: processes, the main one first; the collectives; then tracks with their lanes."""

    def __init__(self, layout: Layout, calls: CallRows, first: int) -> None:
        pids = sorted({track.key[0] for track in layout.tracks}, key=lambda pid: (pid != layout.main, str(pid)))
        self.pids: dict[Identity, int] = {pid: first + index for index, pid in enumerate(pids)}
        self.call_lanes: Ints = lanes(calls.start_ns, calls.end_ns)
        number = first + len(pids)
        self.collectives = Place(
            pid=self.pids.get(layout.main, first),
            tids=range(number, number + (int(self.call_lanes.max()) + 1 if len(calls) else 0)),
        )
        number = self.collectives.tids.stop
        self.places: dict[TrackKey, Place] = {}
        for track in layout.tracks:
            self.places[track.key] = Place(pid=self.pids[track.key[0]], tids=range(number, number + track.lanes))
            number += track.lanes
        self.count = number - first

    def names(self, layout: Layout, naming: Naming) -> Iterator[WholeEvent]:
        """Metadata events that name and order all of it."""
        for order, (pid, number) in enumerate(self.pids.items()):
            yield _metadata("process_name", number, None, {"name": naming.process(layout, pid)})
            yield _metadata("process_sort_index", number, None, {"sort_index": naming.sort_index + min(order, 3)})
        yield from _lane_names(self.collectives, COLLECTIVES, -1)
        for index, track in enumerate(layout.tracks):
            yield from _lane_names(self.places[track.key], track.name, index)


def _lane_names(place: Place, name: str, order: int) -> Iterator[WholeEvent]:
    for lane, tid in enumerate(place.tids):
        yield _metadata("thread_name", place.pid, tid, {"name": f"{name} ({lane + 1})" if lane else name})
        yield _metadata("thread_sort_index", place.pid, tid, {"sort_index": order})


def _metadata(name: str, pid: int, tid: int | None, args: dict[str, object]) -> WholeEvent:
    return WholeEvent(ph="M", name=name, pid=pid, tid=tid, args=arguments(args))


def _is_negative(pid: Identity) -> bool:
    # Kineto books its own overhead under process -1.
    return isinstance(pid, int | float) and pid < 0


def stride(counts: list[int]) -> int:
    """A round distance between the first numbers of neighbouring ranks."""
    return int(10 ** np.ceil(np.log10(max(*counts, 100) + 1)))
