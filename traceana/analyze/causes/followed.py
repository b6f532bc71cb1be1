"""Waits followed on: where another call held the rank that came last, to the rank that came last to that call."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import cast

import msgspec
import numpy as np

from traceana.analyze.causes.arrivals import Arrivals
from traceana.analyze.causes.compared import ComparedGroup
from traceana.analyze.causes.doings import HELD, Floats
from traceana.analyze.collectives import Collectives
from traceana.report import LateBy
from traceana.trace.columns import Ints

_FIELDS = len(LateBy.__struct_fields__)


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """The calls in which ranks that came last waited themselves.

    The rows of Arrivals `rows` were held in so many of the rows `of`, one after the other, for `wait_ns` each.
    """

    rows: Ints
    many: Ints
    of: Ints
    wait_ns: Ints


def followed(found: Arrivals, own: Mapping[int, Collectives]) -> Floats:
    """`found.by_ns` with what was passed on: less of HELD in one row is as much more in the rows that held it."""
    total: Floats = found.by_ns.copy()
    if not (parts := list(_held(found, own))):
        return total
    rows, many, of, wait = (np.concatenate([getattr(part, name) for part in parts]) for name in _Held.__struct_fields__)
    # A view into `total`, of which single values are much sooner taken.
    values = cast("memoryview[float]", total.reshape(-1).data)
    ends = np.cumsum(many)
    for one in np.lexsort((rows, -found.start_ns[rows])).tolist():
        row, mine = int(rows[one]), slice(int(ends[one] - many[one]), int(ends[one]))
        if values[row * _FIELDS + HELD]:
            _pass_on(values, found, row, of[mine].tolist(), wait[mine].tolist())
    return total


def _pass_on(values: "memoryview[float]", found: Arrivals, row: int, of: list[int], wait_ns: list[int]) -> None:
    held, waited = row * _FIELDS + HELD, sum(wait_ns)
    # What peers together waited while the rank itself waited in these calls; transfers stay its own.
    scale = _sum(values, row) / int(found.caused_ns[row])
    passed = min(values[held], waited * int(found.peers[row]) * scale)
    values[held] -= passed
    for place, wait in zip(of, wait_ns, strict=True):
        share, there = passed * (wait / waited), _sum(values, place)
        if not there:
            # All of it was passed on before: this comes too late to follow it.
            values[place * _FIELDS + HELD] += share
            continue
        factor = 1 + share / there
        for at in range(place * _FIELDS, (place + 1) * _FIELDS):
            values[at] *= factor


def _sum(values: "memoryview[float]", row: int) -> float:
    return sum(values[row * _FIELDS : (row + 1) * _FIELDS])


def _held(found: Arrivals, own: Mapping[int, Collectives]) -> Iterator[_Held]:
    """One rank's waits at a time, and only of rows to which there are any."""
    edges = np.searchsorted(found.of_group, np.arange(len(found.groups) + 1))
    of_rank: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, one in enumerate(found.groups):
        for column, rank in enumerate(one.ranks):
            of_rank[rank].append((number, column))
    order = np.argsort(found.rank, kind="stable")
    for mine in np.split(order, np.flatnonzero(np.diff(found.rank[order])) + 1):
        if not len(mine):
            continue
        columns = [
            _waits(found, slice(*edges[n : n + 2]), found.groups[n], j, own)
            for n, j in of_rank[int(found.rank[mine[0]])]
        ]
        arrived, wait, of = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        by_arrival = np.argsort(arrived, kind="stable")
        first, stop = np.searchsorted(arrived[by_arrival], (found.since_ns[mine], found.arrived_ns[mine]))
        some = np.flatnonzero(stop > first)
        many = (stop - first)[some]
        its = by_arrival[np.repeat(first[some] - np.cumsum(many) + many, many) + np.arange(int(many.sum()))]
        yield _Held(rows=mine[some], many=many, of=of[its], wait_ns=wait[its])


def _waits(
    found: Arrivals, places: slice, one: ComparedGroup, column: int, own: Mapping[int, Collectives]
) -> tuple[Ints, Ints, Ints]:
    """Of one rank in one group: when it arrived by its own clock, how long it waited, and in which rows of `found`."""
    row = found.row[places]
    wait = one.wait_ns(column, row)
    waited = np.flatnonzero(wait)
    _, arrived = one.of_rank(column, row[waited], own)
    return arrived, wait[waited].astype(np.int64), places.start + waited
