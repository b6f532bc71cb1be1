"""Sets of time as sorted, disjoint intervals: arrays of starts and ends in ns."""

from typing import NamedTuple

import numpy as np

from traceana.trace.columns import Bools, Ints


class Intervals(NamedTuple):
    """Disjoint, sorted, none empty."""

    start: Ints
    end: Ints

    @property
    def length(self) -> int:
        """Total time covered, in ns."""
        return int((self.end - self.start).sum())


def union(start: Ints, end: Ints) -> Intervals:
    """The union of any intervals; touching ones become one, empty ones vanish."""
    order = np.argsort(start, kind="stable")
    start, end = start[order], end[order]
    kept = end > start
    start, end = start[kept], end[kept]
    if not len(start):
        return Intervals(start, end)
    reach = np.maximum.accumulate(end)
    first = np.concatenate(([True], start[1:] > reach[:-1]))
    last = np.concatenate((first[1:], [True]))
    return Intervals(start[first], reach[last])


def merge(*sets: Intervals) -> Intervals:
    """The union of several sets."""
    return union(np.concatenate([s.start for s in sets]), np.concatenate([s.end for s in sets]))


def inside(times: Ints, by: Intervals) -> Bools:
    """Whether each time lies in the set."""
    if not len(by.start):
        return np.zeros(len(times), dtype=np.bool_)
    index = np.maximum(np.searchsorted(by.start, times, side="right") - 1, 0)
    return np.asarray((by.start[index] <= times) & (times < by.end[index]))


def subtract(whole: Intervals, taken: Intervals) -> Intervals:
    """What is in `whole` and not in `taken`."""
    # Equal cuts make empty pieces, which vanish. Both sets are in order, and a stable sort merges what is.
    cuts = np.sort(np.concatenate((*whole, *taken)), kind="stable")
    begin, finish = cuts[:-1], cuts[1:]
    kept = inside(begin, whole) & ~inside(begin, taken)
    return union(begin[kept], finish[kept])


def covered(start: Ints, end: Ints, by: Intervals) -> Ints:
    """For each interval [start, end), how many ns of it the set covers."""
    return _covered_before(end, by) - _covered_before(start, by)


def _covered_before(times: Ints, by: Intervals) -> Ints:
    if not len(by.start):
        return np.zeros(len(times), dtype=np.int64)
    lengths = by.end - by.start
    before = np.concatenate(([0], np.cumsum(lengths)))
    index = np.searchsorted(by.start, times, side="right")
    previous = np.maximum(index - 1, 0)
    inside = np.minimum(np.maximum(times - by.start[previous], 0), lengths[previous])
    return np.where(index > 0, before[previous] + inside, 0).astype(np.int64)


def overlap(a: Intervals, b: Intervals) -> int:
    """The length of the intersection, in ns."""
    return int(covered(a.start, a.end, b).sum())
