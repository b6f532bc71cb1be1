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
    for part in in_parts(len(times)) if len(by.start) else ():
        index = np.maximum(np.searchsorted(by.start, times[part], side="right") - 1, 0)
        found[part] = (by.start[index] <= times[part]) & (times[part] < by.end[index])
    return found


def touching(start: Ints, end: Ints, by: Intervals) -> Bools:
    """Whether each interval, its ends included, has a time in common with the set or with the ends of its intervals."""
    found = np.zeros(len(start), dtype=np.bool_)
    for part in in_parts(len(start)) if len(by.start) else ():
        index = np.searchsorted(by.end, start[part], side="left")
        found[part] = (index < len(by.end)) & (by.start[np.minimum(index, len(by.start) - 1)] <= end[part])
    return found


def in_parts(many: int) -> Iterator[slice]:
    """`many` rows in parts, so that what is made of each is bounded."""
    return (slice(at, at + _AT_ONCE) for at in range(0, many, _AT_ONCE))


def divided(whole: Intervals, by: Intervals) -> tuple[Intervals, Intervals]:
    """What of `whole` is in `by` too, and the rest of it."""
    if not len(by.start):
        return by, whole
    cuts = np.concatenate((*whole, *by))
    # Of equal cuts starts come first, and make empty pieces, which vanish. All four are in order: a stable sort merges.
    order = np.argsort(cuts, kind="stable")
    # In each set up to two intervals are open at once, where one begins as another ends.
    steps = np.repeat(np.array([1, -1, 4, -4], dtype=np.int8), [len(times) for times in (*whole, *by)])
    state = np.cumsum(steps[order], dtype=np.int8)[:-1]
    cuts = cuts[order]
    begin, finish, of_whole = cuts[:-1], cuts[1:], (state & 3) > 0
    both, rest = of_whole & (state >= 4), of_whole & (state < 4)
    return _pieces(begin[both], finish[both]), _pieces(begin[rest], finish[rest])


def _pieces(start: Ints, end: Ints) -> Intervals:
    """The union of disjoint intervals in order, some of them empty."""
    kept = end > start
    start, end = start[kept], end[kept]
    apart = start[1:] > end[:-1]
    ends = np.ones(min(len(start), 1), dtype=np.bool_)
    return Intervals(start[np.concatenate((ends, apart))], end[np.concatenate((apart, ends))])


def subtract(whole: Intervals, taken: Intervals) -> Intervals:
    """What is in `whole` and not in `taken`."""
    return divided(whole, taken)[1]


def covered(start: Ints, end: Ints, by: Intervals) -> Ints:
    """For each interval [start, end), how many ns of it the set covers."""
    found = np.zeros(len(start), dtype=np.int64)
    if not len(by.start):
        return found
    before = np.concatenate(([0], np.cumsum(by.end - by.start)))
    earliest = min(int(times.min(initial=by.start[0])) for times in (start, end))
    # Before the first interval nothing is left out that is counted.
    ends = np.concatenate(([earliest], by.end))
    for part in in_parts(len(start)):
        of_end, of_start = (np.searchsorted(by.start, times[part], side="right") for times in (end, start))
        found[part] = before[of_end] - np.maximum(ends[of_end] - end[part], 0)
        found[part] -= before[of_start] - np.maximum(ends[of_start] - start[part], 0)
    return found


def overlap(a: Intervals, b: Intervals) -> int:
    """The length of the intersection, in ns."""
    return int(covered(a.start, a.end, b).sum())
