"""Which run was captured before which, by the times in their traces."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from traceana.analyze.measure import RankResult

Window = tuple[int, int]
"""First start and last end of what the devices did, in ns since the epoch."""


def window_of(ranks: Iterable[RankResult]) -> Window | None:
    """The window of a run; None where a file does not say from when its times count, or nothing ran."""
    ends = []
    for rank in ranks:
        if rank.header.base_time_ns is None:
            return None
        its = rank.occupation
        kinds = [kind for kind in (its.compute, its.communication, its.memory) if len(kind.start)]
        ends += [(int(kind.start[0]), int(kind.end[-1])) for kind in kinds]
    return (min(start for start, _ in ends), max(end for _, end in ends)) if ends else None


def capture_order(windows: Sequence[Window | None]) -> list[int]:
    """Places of the runs, the first captured first; as they stand where a time is not known or two windows overlap.

    Runs that overlap were captured at once, or on clocks that cannot be compared.
    """
    as_they_stand = list(range(len(windows)))
    known = [window for window in windows if window is not None]
    if len(known) < len(windows):
        return as_they_stand
    order = sorted(as_they_stand, key=lambda index: known[index])
    apart = all(known[first][1] <= known[second][0] for first, second in pairwise(order))
    return order if apart else as_they_stand
