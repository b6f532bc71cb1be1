"""Which kernels, and which places of the host, took a late rank longer than the peers that waited for it."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import msgspec
import numpy as np

from traceana.analyze.causes.arrivals import Arrivals
from traceana.analyze.causes.doings import Floats
from traceana.analyze.causes.host import Place
from traceana.analyze.causes.spent import Ledger, Spent
from traceana.analyze.collectives import Collectives
from traceana.trace.columns import Bools, Ints

_AT_ONCE = 1 << 22
"""Entries that are kept before they are summed, which bounds the memory that they take."""


class Excess(msgspec.Struct, frozen=True, kw_only=True):
    """ns that the rank that came last spent on one of `names` in excess of its peers, by rows of Arrivals."""

    row: Ints
    name: Ints
    ns: Floats
    names: tuple[Place, ...]

    def of(self, entries: Ints | Bools) -> list[tuple[Place, float]]:
        """What took longer in some of its entries, the longest first."""
        sums = np.bincount(self.name[entries], weights=self.ns[entries], minlength=len(self.names))
        found = [(self.names[one], float(sums[one])) for one in np.flatnonzero(sums > 0).tolist()]
        return sorted(found, key=lambda part: (-part[1], part[0]))

    def only(self, rows: Ints) -> "Excess":
        """Of some rows."""
        mine = np.isin(self.row, rows)
        return Excess(row=self.row[mine], name=self.name[mine], ns=self.ns[mine], names=self.names)

    def by_step(self, step: Ints) -> dict[int, Ints]:
        """Its entries by the step of their rows; `step` is that of all rows."""
        mine = step[self.row]
        order = np.argsort(mine, kind="stable")
        steps, first = np.unique(mine[order], return_index=True)
        return {
            step: order[slice(*bounds)] for step, bounds in zip(steps.tolist(), pairwise([*first, None]), strict=True)
        }


def longer(
    found: Arrivals, rows: Ints, own: Mapping[int, Collectives], spent: Mapping[int, Spent]
) -> tuple[Excess, Excess]:
    """The excess of whom came last in `rows` of `found`: each peer that waited is set against it once.

    Of kernels, and of places of the host. All late ranks' rows together: each rank of a group is looked at once.
    """
    kernels, host = _Sums(), _Sums()
    for rank, count, mine, stretches in _stays(found, rows, own, spent):
        kernels.add(spent[rank].kernels, count, mine, stretches)
        host.add(spent[rank].host, count, mine, stretches)
    return kernels.excess(), host.excess()


def _stays(
    found: Arrivals, rows: Ints, own: Mapping[int, Collectives], spent: Mapping[int, Spent]
) -> Iterator[tuple[int, Ints, Ints, tuple[Ints, Ints]]]:
    """For each group and rank how often its time counts in each of `rows`, and from which to which stretch it is.

    Less than 0 are those who waited.
    """
    for number in np.unique(found.of_group[rows]).tolist():
        one, mine = found.groups[number], rows[found.of_group[rows] == number]
        at = found.row[mine]
        waited = one.waited(at)
        peers = waited.sum(axis=1)
        for j, rank in enumerate(one.ranks):
            count = np.where(one.last[at] == j, peers, -waited[:, j].astype(np.int64))
            since, arrived = one.of_rank(j, at, own)
            first, stop = (np.searchsorted(spent[rank].marks, times, side="right") for times in (since, arrived))
            yield rank, count, mine, (first, stop)


class _Sums:
    """Time by row and name, rank after rank."""

    def __init__(self) -> None:
        self._codes: dict[Place, int] = {}
        self._parts: list[tuple[Ints, Ints, Floats]] = []
        self._kept = 0

    def add(self, ledger: Ledger, count: Ints, rows: Ints, stretches: tuple[Ints, Ints]) -> None:
        """What a rank spent in stretches of some rows, so many times."""
        first, stop = (np.searchsorted(ledger.stretch, one) for one in stretches)
        length = np.where(count != 0, stop - first, 0)
        which = np.repeat(np.arange(len(rows)), length)
        place = first[which] + np.arange(len(which)) - (np.cumsum(length) - length)[which]
        code = np.array([self._codes.setdefault(name, len(self._codes)) for name in ledger.names], dtype=np.int64)
        ns = (count[which] * ledger.ns[place]).astype(np.float64)
        self._keep(_summed(rows[which], code[ledger.name[place]], ns))

    def _keep(self, part: tuple[Ints, Ints, Floats]) -> None:
        self._parts.append(part)
        self._kept += len(part[0])
        if self._kept > _AT_ONCE:
            # Whole ns, whose sums are exact in any order.
            self._parts = [_summed(*self._joined())]
            self._kept = 0

    def _joined(self) -> tuple[Ints, Ints, Floats]:
        row, name, ns = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        return row, name, ns

    def excess(self) -> Excess:
        """Of all that was added."""
        row, name, ns = self._joined()
        return Excess(row=row, name=name, ns=ns, names=tuple(self._codes))


def _summed(row: Ints, name: Ints, ns: Floats) -> tuple[Ints, Ints, Floats]:
    """One entry a row and name."""
    kinds = int(name.max(initial=0)) + 1
    used, index = np.unique(row * kinds + name, return_inverse=True)
    sums = np.zeros(len(used))
    np.add.at(sums, index, ns)
    return used // kinds, used % kinds, sums
