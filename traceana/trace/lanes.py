"""Lanes for slices of one track that overlap without nesting: Perfetto before v57 drops such slices."""

import numpy as np

from traceana.trace.columns import Ints


def lanes(start_ns: Ints, end_ns: Ints) -> Ints:
    """The lane of each slice, so that within a lane any two slices nest or are apart.

    Slices that begin together share a lane, so a start time is enough to tell one. Lane 0 holds what fits there.
    """
    order = np.lexsort((-end_ns, start_ns))
    start, end = start_ns[order], end_ns[order]
    result = np.zeros(len(start), dtype=np.int64)
    if len(start) and (start[1:] < np.maximum.accumulate(end)[:-1]).any():
        result[order] = _nested(start.tolist(), end.tolist())
    return result


def _nested(start: list[int], end: list[int]) -> list[int]:
    """Lanes of slices in order of start, the longer first; `open_` holds the ends of each lane's open slices."""
    open_: list[list[int]] = [[]]
    result: list[int] = []
    before = None
    for begin, finish in zip(start, end, strict=True):
        lane = result[-1] if begin == before else _first_fit(open_, begin, finish)
        open_[lane].append(finish)
        result.append(lane)
        before = begin
    return result


def _first_fit(open_: list[list[int]], begin: int, finish: int) -> int:
    for lane, ends in enumerate(open_):
        while ends and ends[-1] <= begin:
            ends.pop()
        if not ends or finish <= ends[-1]:
            return lane
    open_.append([])
    return len(open_) - 1
