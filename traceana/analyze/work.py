"""What a rank's host launched and waited for, and what its devices did with it: the columns that a replay needs."""

import msgspec
import numpy as np

from traceana.analyze.launches import Launches
from traceana.kernels import Kind
from traceana.trace.columns import GPU_CATEGORIES, WAITS, Bools, HostRows, Ints, RankTrace
from traceana.trace.narrow import narrow

LAUNCHES, COPIES = len(WAITS), len(WAITS) + 1
"""What a host operation is where it is not one of WAITS: a launch, or a launch of a copy that it waits for itself."""


class RankWork(msgspec.Struct, frozen=True, kw_only=True):
    """One rank's activities and host operations, both in order of start, times by the rank's own clock in ns.

    Of an activity: `stream` numbers the streams of all its devices, `launch` is the host operation that launched it
    or -1, `call` its row in the rank's Collectives or -1, `graph` whether a CUDA graph launched it, `communicates`
    whether it is communication. `host_does` indexes WAITS, or is LAUNCHES or COPIES. What are no times is as narrow as
    its values.
    """

    start_ns: Ints
    end_ns: Ints
    stream: Ints
    launch: Ints
    call: Ints
    graph: Bools
    communicates: Bools
    host_start_ns: Ints
    host_end_ns: Ints
    host_does: Ints

    def __len__(self) -> int:
        return len(self.start_ns)

    def until(self, end_ns: int) -> "RankWork":
        """What began before a time, in columns of its own: those of all of a rank may lie in a file."""
        many, host = (int(np.searchsorted(one, end_ns)) for one in (self.start_ns, self.host_start_ns))
        launch = self.launch[:many]
        return RankWork(
            start_ns=self.start_ns[:many].copy(),
            end_ns=self.end_ns[:many].copy(),
            stream=self.stream[:many].copy(),
            launch=np.where(launch < host, launch, -1),
            call=self.call[:many].copy(),
            graph=self.graph[:many].copy(),
            communicates=self.communicates[:many].copy(),
            host_start_ns=self.host_start_ns[:host].copy(),
            host_end_ns=self.host_end_ns[:host].copy(),
            host_does=self.host_does[:host].copy(),
        )


def rank_work(trace: RankTrace, launches: Launches, kind: Ints, call: Ints) -> RankWork:
    """Of all activities, with a `Kind` each and its row among the rank's collectives, or -1."""
    activities = trace.activities
    order = np.lexsort((launches.row, activities.start_ns))
    row = launches.row[order]
    used, waits = np.unique(row[row >= 0]), _of_launching_threads(trace)
    start = np.concatenate((trace.launches.start_ns[used], trace.waits.start_ns[waits]))
    in_order = np.argsort(start, kind="stable")
    place = np.empty(len(in_order), dtype=np.int64)
    place[in_order] = np.arange(len(in_order))
    launch = np.full(len(row), -1, dtype=np.int64)
    launch[row >= 0] = place[np.searchsorted(used, row[row >= 0])]
    end = np.concatenate((trace.launches.end_ns[used], trace.waits.end_ns[waits]))[in_order]
    does = np.concatenate((np.full(len(used), LAUNCHES), trace.waits.key[waits]))[in_order]
    does[_waits_for_own_copy(trace, order, launch, end)] = COPIES
    return RankWork(
        start_ns=activities.start_ns[order],
        end_ns=activities.end_ns[order],
        stream=narrow(_streams(activities.device[order], activities.stream[order]), least=1),
        launch=narrow(launch),
        call=narrow(call[order]),
        graph=launches.graph[order],
        communicates=kind[order] == Kind.COMMUNICATION,
        host_start_ns=start[in_order],
        host_end_ns=end,
        host_does=narrow(does, least=1),
    )


def _of_launching_threads(trace: RankTrace) -> Ints:
    """Rows of the waits of threads that launch something: others' (a watchdog's) hold nothing up."""
    rows: HostRows = trace.waits
    return np.flatnonzero(np.isin(rows.thread, np.unique(trace.launches.thread)))


def _waits_for_own_copy(trace: RankTrace, order: Ints, launch: Ints, host_end_ns: Ints) -> Ints:
    """Host operations that return only when the copy that they launched is done."""
    is_copy = trace.activities.category[order] == GPU_CATEGORIES.index("gpu_memcpy")
    found = np.flatnonzero(is_copy & (launch >= 0))
    return launch[found[trace.activities.end_ns[order[found]] <= host_end_ns[launch[found]]]]


def _streams(device: Ints, stream: Ints) -> Ints:
    pairs = np.stack([device, stream], axis=1)
    return np.unique(pairs, axis=0, return_inverse=True)[1].ravel() if len(pairs) else stream
