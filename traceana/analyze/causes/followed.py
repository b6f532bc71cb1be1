"""Waits followed on: where another call held the rank that came last, to the rank that came last to that call."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from traceana.analyze.causes.arrivals import Arrivals
from traceana.analyze.causes.compared import HELD, ComparedGroup, Floats
from traceana.trace.columns import Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waits:
    """Calls in which one rank waited, in order of its arrival by its own clock; `of` are their places in Arrivals."""

    arrived_ns: Ints
    wait_ns: Ints
    of: Ints


def followed(found: Arrivals, groups: Sequence[ComparedGroup]) -> Floats:
    """`found.by_ns` with what was passed on: less of HELD in one row is as much more in the rows that held it."""
    waits = dict(_waits(found, groups))
    total: Floats = found.by_ns.copy()
    for row in np.argsort(-found.start_ns, kind="stable").tolist():
        its = waits.get(int(found.rank[row]))
        if its is None or not total[row, HELD]:
            continue
        first, stop = np.searchsorted(its.arrived_ns, (found.since_ns[row], found.arrived_ns[row]))
        waited = its.wait_ns[first:stop]
        if not len(waited):
            continue
        # What peers together waited while the rank itself waited in these calls; transfers stay its own.
        scale = total[row].sum() / found.caused_ns[row]
        passed = min(float(total[row, HELD]), float(waited.sum()) * int(found.peers[row]) * scale)
        total[row, HELD] -= passed
        for place, share in zip(its.of[first:stop].tolist(), (waited / waited.sum()).tolist(), strict=True):
            total[place] *= 1 + passed * share / total[place].sum()
    return total


def _waits(found: Arrivals, groups: Sequence[ComparedGroup]) -> Iterator[tuple[int, _Waits]]:
    """By rank; only what others than the last rank of a collective waited is there."""
    rank, arrived, wait, of = (np.concatenate(column) for column in zip(*_columns(found, groups), strict=True))
    for one in np.unique(rank).tolist():
        mine = np.flatnonzero(rank == one)
        mine = mine[np.argsort(arrived[mine], kind="stable")]
        yield one, _Waits(arrived_ns=arrived[mine], wait_ns=wait[mine], of=of[mine])


def _columns(found: Arrivals, groups: Sequence[ComparedGroup]) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
    for number, one in enumerate(groups):
        places = np.flatnonzero(found.of_group == number)
        row, column = np.nonzero(one.waited[found.row[places]])
        at = found.row[places[row]]
        yield np.array(one.group.ranks)[column], one.arrived_ns[at, column], one.group.wait_ns[at, column], places[row]
