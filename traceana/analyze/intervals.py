"""Sets of time as sorted, disjoint intervals: arrays of starts and ends in ns."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from traceana.trace.columns import Bools, Ints

_AT_ONCE = 1 << 16
"""Times that are looked up together, which bounds the memory that it takes."""


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
    kept = end > start
    start, end = start[kept], end[kept]
    if not len(start):
        return Intervals(start, end)
    if (start[1:] < start[:-1]).any():
        order = np.argsort(start, kind="stable")
        start, end = start[order], end[order]
    reach = np.maximum.accumulate(end)
    first = np.concatenate(([True], start[1:] > reach[:-1]))
    last = np.concatenate((first[1:], [True]))
    return Intervals(start[first], reach[last])


def merge(*sets: Intervals) -> Intervals:
    """The union of several sets."""
    return union(np.concatenate([s.start for s in sets]), np.concatenate([s.end for s in sets]))


def inside(times: Ints, by: Intervals) -> Bools:
    """Whether each time lies in the set."""
    found = np.zeros(len(times), dtype=np.bool_)
    for part in _parts(len(times)) if len(by.start) else ():
        index = np.maximum(np.searchsorted(by.start, times[part], side="right") - 1, 0)
        found[part] = (by.start[index] <= times[part]) & (times[part] < by.end[index])
    return found


def touching(start: Ints, end: Ints, by: Intervals) -> Bools:
    """Whether each interval, its ends included, has a time in common with the set or with the ends of its intervals."""
    found = np.zeros(len(start), dtype=np.bool_)
    for part in _parts(len(start)) if len(by.start) else ():
        index = np.searchsorted(by.end, start[part], side="left")
        found[part] = (index < len(by.end)) & (by.start[np.minimum(index, len(by.start) - 1)] <= end[part])
    return found


def _parts(many: int) -> Iterator[slice]:
    return (slice(at, at + _AT_ONCE) for at in range(0, many, _AT_ONCE))


def subtract(whole: Intervals, taken: Intervals) -> Intervals:
    """What is in `whole` and not in `taken`."""
    # Equal cuts make empty pieces, which vanish. Both sets are in order, and a stable sort merges what is.
    cuts = np.sort(np.concatenate((*whole, *taken)), kind="stable")
    begin, finish = cuts[:-1], cuts[1:]
    kept = inside(begin, whole) & ~inside(begin, taken)
    return union(begin[kept], finish[kept])


def covered(start: Ints, end: Ints, by: Intervals) -> Ints:
    """For each interval [start, end), how many ns of it the set covers."""
    found = np.zeros(len(start), dtype=np.int64)
    before = np.concatenate(([0], np.cumsum(by.end - by.start)))
    for part in _parts(len(start)) if len(by.start) else ():
        found[part] = _covered_before(end[part], by, before) - _covered_before(start[part], by, before)
    return found


def _covered_before(times: Ints, by: Intervals, before: Ints) -> Ints:
    """The ns that the set covers before each time; `before` are those before each of its intervals."""
    index = np.searchsorted(by.start, times, side="right")
    previous = np.maximum(index - 1, 0)
    length = by.end[previous] - by.start[previous]
    inside = np.minimum(np.maximum(times - by.start[previous], 0), length)
    return np.where(index > 0, before[previous] + inside, 0)


def overlap(a: Intervals, b: Intervals) -> int:
    """The length of the intersection, in ns."""
    return int(covered(a.start, a.end, b).sum())
