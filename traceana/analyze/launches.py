"""Where activities were launched: the row of each launch, and what was open on its thread at that moment."""

import msgspec
import numpy as np

from traceana.trace.columns import Bools, HostRows, Ints, RankTrace
from traceana.trace.narrow import narrow


class Launches(msgspec.Struct, frozen=True, kw_only=True):
    """For each activity the row of its launch in RankTrace.launches, or -1; and whether a CUDA graph launched it."""

    row: Ints
    graph: Bools


class LaunchIndex:
    """Finds the launch of an activity by its correlation; 0 is no correlation."""

    def __init__(self, launches: HostRows) -> None:
        self.order = np.argsort(launches.key, kind="stable")
        self.keys = launches.key[self.order]

    def rows(self, correlation: Ints) -> Ints:
        """For each correlation the row of its launch, or -1."""
        if not len(self.keys):
            return np.full(len(correlation), -1, dtype=np.int64)
        index = np.minimum(np.searchsorted(self.keys, correlation), len(self.keys) - 1)
        found = (self.keys[index] == correlation) & (correlation != 0)
        return narrow(np.where(found, self.order[index], -1))


def launches_of(trace: RankTrace) -> Launches:
    """The launches of all activities."""
    correlation = trace.activities.correlation
    row = LaunchIndex(trace.launches).rows(correlation)
    return Launches(row=row, graph=np.isin(correlation, trace.graph_launches) & (correlation != 0))


def open_at(calls: HostRows, launches: HostRows, launched: Ints) -> Ints:
    """For each launch row the key of the row of `calls` on its thread during which it happened, or -1."""
    result = np.full(len(launched), -1, dtype=np.int64)
    for thread in np.unique(calls.thread):
        on = np.flatnonzero(calls.thread == thread)
        on = on[np.argsort(calls.start_ns[on], kind="stable")]
        mine = np.flatnonzero(launched >= 0)
        mine = mine[launches.thread[launched[mine]] == thread]
        at = launches.start_ns[launched[mine]]
        index = np.searchsorted(calls.start_ns[on], at, side="right") - 1
        inside = (index >= 0) & (at <= calls.end_ns[on[np.maximum(index, 0)]])
        result[mine[inside]] = calls.key[on[index[inside]]]
    return result
