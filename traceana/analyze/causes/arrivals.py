"""The collectives that somebody waited in, of all groups in one table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from traceana.analyze.causes.compared import CausedWaits, ComparedGroup
from traceana.analyze.causes.doings import Floats
from traceana.analyze.collectives import Collectives
from traceana.report import LateBy
from traceana.trace.columns import Bools, Ints


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """One row a collective; `of_group` and `row` say which it is.

    `since_ns` and `arrived_ns` are of the rank that came last, by its own clock, `start_ns` by the common one.
    """

    rank: Ints
    """The rank that came last."""
    peers: Ints
    """How many waited for it."""
    caused_ns: Ints
    by_ns: Floats
    since_ns: Ints
    arrived_ns: Ints
    start_ns: Ints
    step: Ints
    warm_up: Bools
    groups: Sequence[ComparedGroup]
    of_group: Ints
    row: Ints

    def late_ns(self, rows: Ints) -> Floats:
        """By how much the last rank of some collectives came later than its peers, on the mean."""
        others = np.array([len(one.ranks) - 1 for one in self.groups])[self.of_group[rows]]
        return np.asarray(self.caused_ns[rows] / others)


def arrivals(waits: Iterable[CausedWaits], most: int, own: Mapping[int, Collectives]) -> Arrivals:
    """Of all groups, which have `most` collectives at most; nothing else that was found of a group is kept."""
    found = _Table(most)
    groups: list[ComparedGroup] = []
    for one in waits:
        found.add(one, len(groups), own)
        groups.append(one.group)
    return found.arrivals(groups)


def _empty(length: int, kind: type[np.integer[Any]]) -> Ints:
    return np.asarray(np.empty(length, dtype=kind))


class _Table:
    """Columns that are filled from the top; a system gives memory only to rows that are."""

    def __init__(self, most: int) -> None:
        self._filled = 0
        self._rank, self._peers, self._of_group, self._row, self._step = (_empty(most, np.int32) for _ in range(5))
        self._caused_ns, self._since_ns, self._arrived_ns, self._start_ns = (_empty(most, np.int64) for _ in range(4))
        self._by_ns = np.empty((most, len(LateBy.__struct_fields__)))
        self._warm_up = np.empty(most, dtype=np.bool_)

    def add(self, one: CausedWaits, number: int, own: Mapping[int, Collectives]) -> None:
        """The collectives of a group in which somebody waited."""
        row = np.flatnonzero(one.caused_ns)
        group, last = one.group, one.group.last[row]
        call = group.first[last] + group.calls[row, last]
        mine = slice(self._filled, self._filled + len(row))
        self._filled = mine.stop
        self._rank[mine] = np.array(group.ranks)[last]
        self._peers[mine] = group.waited(row).sum(axis=1)
        self._of_group[mine], self._row[mine] = number, row
        self._caused_ns[mine], self._by_ns[mine] = one.caused_ns[row], one.by_ns[row]
        self._start_ns[mine] = one.start_ns[row]
        self._step[mine], self._warm_up[mine] = group.table.step[call], group.table.warm_up[call]
        for column in np.unique(last).tolist():
            its = np.flatnonzero(last == column)
            since, arrived = group.of_rank(column, row[its], own)
            self._since_ns[mine.start + its], self._arrived_ns[mine.start + its] = since, arrived

    def arrivals(self, groups: Sequence[ComparedGroup]) -> Arrivals:
        """All that was added."""
        mine = slice(self._filled)
        return Arrivals(
            rank=self._rank[mine],
            peers=self._peers[mine],
            caused_ns=self._caused_ns[mine],
            by_ns=self._by_ns[mine],
            since_ns=self._since_ns[mine],
            arrived_ns=self._arrived_ns[mine],
            start_ns=self._start_ns[mine],
            step=self._step[mine],
            warm_up=self._warm_up[mine],
            groups=groups,
            of_group=self._of_group[mine],
            row=self._row[mine],
        )
