"""Which ranks share a clock: by the names of their hosts, unless what they did together says otherwise.

Names give a first guess: ranks of one host share its clock, and so do ranks whose hosts nobody names, until ranks of
one collective are never inside it at the same time.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from traceana.analyze.align import TOGETHER_NS, CallSequence, align, scatter
from traceana.trace.columns import Ints

_MOST_CALLS = 0.8
_MOST_HEADS = 128
_FAR_FOR_DURATION = 0.25


_NO_EVIDENCE = (
    "hosts are not named, and no collective that all ranks leave together tells whether their clocks agree: "
    "waits hold only if all ran on one host"
)


class Machines(msgspec.Struct, frozen=True, kw_only=True):
    """For each rank the lowest rank that shares its clock, and where that contradicts the names of hosts."""

    of_rank: Mapping[int, int]
    notes: tuple[str, ...]

    def together(self, first: int, second: int) -> bool:
        """Whether two ranks share a clock."""
        return self.of_rank[first] == self.of_rank[second]


def machines(
    named: Iterable[Mapping[int, CallSequence]],
    unnamed: Iterable[Mapping[int, CallSequence]],
    ranks: Iterable[int],
    hosts: Mapping[int, str | None],
) -> Machines:
    """Tell machines apart by the calls of each group by rank; ranks of `unnamed` ones may not belong together."""
    claims: dict[str | None, list[int]] = defaultdict(list)
    for rank in sorted(ranks):
        claims[hosts.get(rank)].append(rank)
    meet: dict[tuple[int, int], bool] = {}
    for groups, one_group in ((named, True), (unnamed, False)):
        for group in sorted(groups, key=len, reverse=True):
            of_host: dict[str | None, list[int]] = defaultdict(list)
            for rank in group:
                of_host[hosts.get(rank)].append(rank)
            for host, claimed in of_host.items():
                if (host is not None and not one_group) or len(claimed) < 2:
                    continue
                members = {rank: group[rank] for rank in sorted(claimed)}
                for pair, shared in _evidence(members, one_group=one_group).items():
                    # Calls that meet may do so by chance; calls of one group that never meet do not.
                    meet[pair] = meet.get(pair, True) and shared
    of_rank: dict[int, int] = {}
    notes = []
    if len(claims[None]) > 1 and not any(pair[0] in claims[None] for pair in meet):
        notes.append(_NO_EVIDENCE)
    for host, claimed in claims.items():
        found = _parts(claimed, meet)
        of_rank.update(found)
        apart = sorted(set(found.values()))
        if len(apart) > 1:
            notes.append(_apart(host, apart))
    return Machines(of_rank=of_rank, notes=tuple(notes))


def _evidence(calls: Mapping[int, CallSequence], *, one_group: bool) -> dict[tuple[int, int], bool]:
    """Pairs of ranks that were seen to share a clock, or not to."""
    found: dict[tuple[int, int], bool] = {}
    heads: list[int] = []
    for rank in sorted(calls):
        shared = None
        for head in heads:
            shared = shares_clock(calls[head], calls[rank], one_group=one_group)
            if shared is not None:
                found[head, rank] = shared
            if shared:
                break
        if not shared and len(heads) < _MOST_HEADS:
            heads.append(rank)
    return found


def shares_clock(a: CallSequence, b: CallSequence, *, one_group: bool = True) -> bool | None:
    """Whether joint calls of two ranks meet on the clocks as recorded; None where there is too little to tell.

    Ranks that may be of different groups have different clocks only if their ends differ by a constant.
    """
    fewer = min(int(a.joint.sum()), int(b.joint.sum()))
    if not fewer:
        return None
    here = align(a, b, 0)
    meeting = int(a.joint[here.left].sum())
    apart_ns = _median(np.abs(b.end_ns[here.right] - a.end_ns[here.left]))
    if meeting >= _MOST_CALLS * fewer and apart_ns <= TOGETHER_NS:
        return True
    if not one_group and 2 * meeting >= fewer:
        return True
    there = align(a, b, None)
    best = int(a.joint[there.left].sum())
    spread_ns = scatter(b.end_ns[there.right] - a.end_ns[there.left])
    # On a wrong clock calls still meet by chance where they are dense: then another clock fits all of them better.
    far_ns = max(TOGETHER_NS + 10 * spread_ns, _FAR_FOR_DURATION * _median(a.end_ns - a.start_ns))
    if best >= _MOST_CALLS * fewer and spread_ns <= TOGETHER_NS:
        return meeting >= _MOST_CALLS * best and apart_ns <= far_ns
    if 2 * meeting >= best:
        return True
    return False if one_group else None


def _median(values: Ints) -> float:
    return float(np.median(values)) if len(values) else np.inf


def _parts(ranks: Sequence[int], meet: Mapping[tuple[int, int], bool]) -> dict[int, int]:
    """Ranks that share a clock under the lowest of them; ranks without evidence stay with the first.

    Sets of ranks that have no calls in common are one machine's too, unless some ranks of it are known to be apart.
    """
    parts = _Parts(ranks)
    inside = {pair: shared for pair, shared in meet.items() if pair[0] in parts.root and pair[1] in parts.root}
    for (first, second), shared in inside.items():
        if not shared:
            parts.keep_apart(first, second)
    for (first, second), shared in inside.items():
        if shared:
            parts.join(first, second)
    seen = {parts.root[rank] for pair in inside for rank in pair} if not all(inside.values()) else set()
    for rank in ranks:
        if parts.root[rank] not in seen:
            parts.join(ranks[0], rank)
    return dict(parts.root)


class _Parts:
    """Disjoint sets of ranks, some of which must not become one."""

    def __init__(self, ranks: Sequence[int]) -> None:
        self.root = {rank: rank for rank in ranks}
        self.members = {rank: [rank] for rank in ranks}
        self.apart: dict[int, set[int]] = {rank: set() for rank in ranks}

    def keep_apart(self, first: int, second: int) -> None:
        self.apart[self.root[first]].add(self.root[second])
        self.apart[self.root[second]].add(self.root[first])

    def join(self, first: int, second: int) -> None:
        low, high = sorted((self.root[first], self.root[second]))
        if low == high or high in self.apart[low]:
            return
        for rank in self.members[high]:
            self.root[rank] = low
        self.members[low] += self.members.pop(high)
        for other in self.apart.pop(high):
            self.apart[other] = (self.apart[other] - {high}) | {low}
            self.apart[low].add(other)


def _apart(host: str | None, heads: Sequence[int]) -> str:
    where = f"host {host}" if host else "hosts are not named"
    listed = ", ".join(map(str, heads[:8])) + (", …" if len(heads) > 8 else "")
    return f"{where}: ranks are never inside a collective at the same time, so clocks differ (from ranks {listed} on)"
