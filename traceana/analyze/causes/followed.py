"""Waits followed on: where another call held the rank that came last, to the rank that came last to that call."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from traceana.analyze.causes.arrivals import Arrivals
from traceana.analyze.causes.compared import HELD, ComparedGroup, Floats
from traceana.analyze.collectives import Collectives
from traceana.trace.columns import Ints


class _Held(NamedTuple):
    """The calls in which the rank that came last waited itself: their rows of Arrivals, and how long it did."""

    of: Ints
    wait_ns: Ints


def followed(found: Arrivals, groups: Sequence[ComparedGroup], own: Mapping[int, Collectives]) -> Floats:
    """`found.by_ns` with what was passed on: less of HELD in one row is as much more in the rows that held it."""
    held = dict(_held(found, groups, own))
    total: Floats = found.by_ns.copy()
    rows = np.array(sorted(held), dtype=np.int64)
    for row in rows[np.argsort(-found.start_ns[rows], kind="stable")].tolist():
        if not total[row, HELD]:
            continue
        of, waited = held[row]
        # What peers together waited while the rank itself waited in these calls; transfers stay its own.
        scale = total[row].sum() / found.caused_ns[row]
        passed = min(float(total[row, HELD]), float(waited.sum()) * int(found.peers[row]) * scale)
        total[row, HELD] -= passed
        for place, share in zip(of.tolist(), (waited / waited.sum()).tolist(), strict=True):
            total[place] *= 1 + passed * share / total[place].sum()
    return total


def _held(
    found: Arrivals, groups: Sequence[ComparedGroup], own: Mapping[int, Collectives]
) -> Iterator[tuple[int, _Held]]:
    """By row of `found`; one rank's waits at a time, and only of rows to which there are any."""
    edges = np.searchsorted(found.of_group, np.arange(len(groups) + 1))
    of_rank: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, one in enumerate(groups):
        for column, rank in enumerate(one.ranks):
            of_rank[rank].append((number, column))
    order = np.argsort(found.rank, kind="stable")
    for mine in np.split(order, np.flatnonzero(np.diff(found.rank[order])) + 1):
        if not len(mine):
            continue
        columns = [
            _waits(found, slice(*edges[n : n + 2]), groups[n], j, own) for n, j in of_rank[int(found.rank[mine[0]])]
        ]
        arrived, wait, of = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        by_arrival = np.argsort(arrived, kind="stable")
        first, stop = np.searchsorted(arrived[by_arrival], (found.since_ns[mine], found.arrived_ns[mine]))
        for at in np.flatnonzero(stop > first).tolist():
            its = by_arrival[first[at] : stop[at]]
            yield int(mine[at]), _Held(of=of[its], wait_ns=wait[its])


def _waits(
    found: Arrivals, places: slice, one: ComparedGroup, column: int, own: Mapping[int, Collectives]
) -> tuple[Ints, Ints, Ints]:
    """Of one rank in one group: when it arrived by its own clock, how long it waited, and in which rows of `found`."""
    row = found.row[places]
    wait = one.wait_ns[row, column]
    waited = np.flatnonzero(wait)
    _, arrived = one.of_rank(column, row[waited], own)
    return arrived, wait[waited].astype(np.int64), places.start + waited
