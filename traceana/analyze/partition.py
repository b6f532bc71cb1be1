"""Which ranks were in a collective together where nothing names its process group.

Ranks of one group are inside its calls at the same time and leave them together; they are as many as the stated size.
"""

from collections.abc import Container, Iterator, Mapping, Sequence

import msgspec
import numpy as np
from msgspec.structs import replace

from traceana.analyze.align import TOGETHER_NS, CallSequence, align, nearest, scatter
from traceana.analyze.clocks import ClockOffsets
from traceana.analyze.groups import Group, listed
from traceana.analyze.separate import separated

_MOST_CALLS = 0.8
_NEARLY_ALL = 0.9
_ALIKE_NS = 500
_FEW = 64
_MUCH_FARTHER = 10
_SEVERAL = 4
_Sets = tuple[tuple[int, ...], ...]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A process group and the calls in it by rank, each on its own clock."""

    group: Group
    calls: Mapping[int, CallSequence]


def find_groups(
    unknown: Sequence[Found], clocks: ClockOffsets, world_size: int, stated: Sequence[tuple[int, ...]]
) -> tuple[list[Found], list[str]]:
    """Groups of known ranks in place of `unknown` ones, and what stays without a group, in words."""
    found: list[Found] = []
    notes: list[str] = []
    for one in unknown:
        left: set[int] = set()
        for part, sets in _by_kind(one, clocks, stated):
            complete = len(one.calls) == world_size
            whole = [members for members in sets if _is_whole(members, part, stated, complete=complete)]
            found += [_part(part, members) for members in whole]
            left |= set(part.calls) - {rank for members in whole for rank in members}
        if left:
            notes.append(_unsupported(one, sorted(left)))
    return found, notes


def _by_kind(one: Found, clocks: ClockOffsets, stated: Sequence[tuple[int, ...]]) -> Iterator[tuple[Found, _Sets]]:
    """Calls with the sets of ranks that leave them together; kinds of calls are apart where they have other sets."""
    calls, comparable = one.calls, clocks.comparable(one.calls)
    if comparable:
        calls = {
            rank: replace(mine, start_ns=clocks.common(rank, mine.start_ns), end_ns=clocks.common(rank, mine.end_ns))
            for rank, mine in calls.items()
        }
    kinds: dict[_Sets, list[int]] = {}
    for code in _telling(calls):
        part = {rank: mine.only(mine.code == code) for rank, mine in calls.items()}
        kinds.setdefault(_sets(part, stated, comparable=comparable), []).append(code)
    if len(kinds) < 2:
        (sets,) = kinds or [_sets(calls, stated, comparable=comparable)]
        yield one, sets
        return
    usual = max(kinds, key=lambda sets: np.isin(calls[min(calls)].code, kinds[sets]).sum())
    for sets in kinds:
        others = [code for other, codes in kinds.items() if other != sets for code in codes]
        yield _only(one, others if sets == usual else kinds[sets], without=sets == usual), sets


def _telling(calls: Mapping[int, CallSequence]) -> list[int]:
    """Kinds of calls that all ranks have several of, and that none leaves before all came."""
    several = [set(mine.often(_SEVERAL).tolist()) for mine in calls.values()]
    return sorted(set.intersection(*several)) if several else []


def _only(one: Found, codes: Sequence[int], *, without: bool) -> Found:
    """The calls of some kinds alone, or those of all others."""
    kept = {rank: np.isin(mine.code, codes, invert=without) for rank, mine in one.calls.items()}
    group = replace(one.group, calls={rank: one.group.calls[rank][mask] for rank, mask in kept.items()})
    return Found(group=group, calls={rank: mine.only(kept[rank]) for rank, mine in one.calls.items()})


def _part(one: Found, members: tuple[int, ...]) -> Found:
    group = replace(one.group, ranks=members, calls={rank: one.group.calls[rank] for rank in members})
    return Found(group=group, calls={rank: one.calls[rank] for rank in members})


def _is_whole(members: tuple[int, ...], one: Found, stated: Sequence[tuple[int, ...]], *, complete: bool) -> bool:
    """Whether these can be all ranks of a group: as many as its size, or a group of the headers, or none is missing."""
    if len(members) < 2 or (one.group.size or len(members)) != len(members):
        return False
    return one.group.size is not None or members in stated or complete


def _unsupported(one: Found, left: Sequence[int]) -> str:
    size = f" of {one.group.size} ranks" if one.group.size else ""
    return (
        f"{one.group.title}: not matched on rank {listed(left)}: what group{size} they are of is not told, "
        "and no whole set of ranks is inside them at the same time"
    )


def _sets(calls: Mapping[int, CallSequence], stated: Sequence[tuple[int, ...]], *, comparable: bool) -> _Sets:
    """Sets of ranks that leave calls together."""
    ranks = sorted(calls)

    def apart(first: int, second: int) -> float:
        if stated and not any(first in members and second in members for members in stated):
            return np.inf
        return _apart_ns(calls[first], calls[second], comparable)

    of_first = [apart(ranks[0], rank) for rank in ranks[1:]]
    near = max(TOGETHER_NS, _MUCH_FARTHER * min(of_first, default=0.0))
    if np.isfinite(near) and all(one <= near for one in of_first):
        return tuple(separated(calls, comparable=comparable))
    sets: list[list[int]] = []
    doubtful: set[int] = set()
    for rank in ranks:
        distances = [
            apart(members[0], rank) if not comparable or _may_be_near(calls[members[0]], calls[rank]) else np.inf
            for members in sets
        ]
        best = int(np.argmin(distances)) if distances else -1
        if best >= 0 and distances[best] <= TOGETHER_NS:
            sets[best].append(rank)
            near_many = [place for place, ns in enumerate(distances) if ns <= TOGETHER_NS]
            doubtful.update(near_many if len(near_many) > 1 else [])
        else:
            sets.append([rank])
    return _settled(calls, sets, doubtful, comparable=comparable)


def _settled(
    calls: Mapping[int, CallSequence], sets: Sequence[Sequence[int]], doubtful: Container[int], *, comparable: bool
) -> _Sets:
    """Sets that keep pace told apart; where ranks are near to several sets and nothing tells, each is by itself."""
    settled: list[tuple[int, ...]] = []
    for place, members in enumerate(sets):
        if place not in doubtful:
            settled += separated({rank: calls[rank] for rank in members}, comparable=comparable)
    near_many = {rank: calls[rank] for place, members in enumerate(sets) if place in doubtful for rank in members}
    apart = separated(near_many, comparable=comparable) if near_many else []
    return (*settled, *(apart if len(apart) > 1 else [(rank,) for rank in near_many]))


def _may_be_near(a: CallSequence, b: CallSequence) -> bool:
    """Whether a few of a's ends are near any of b's: a quick look before all are compared."""
    some = a.end_ns[:: 1 + len(a) // _FEW]
    return float(np.median(np.abs(some - b.end_ns[nearest(some, b.end_ns)]))) <= TOGETHER_NS


def _apart_ns(a: CallSequence, b: CallSequence, comparable: bool) -> float:
    """How far two ranks' ends of the same calls are apart; infinite where few calls are the same, or some only meet."""
    pairs = align(a, b, 0 if comparable else None)
    fewer, more = sorted((len(a), len(b)))
    joint = bool(a.joint.any())
    if len(pairs.left) < _MOST_CALLS * fewer or fewer < (0.5 if joint else _MOST_CALLS) * more:
        return np.inf
    difference = b.end_ns[pairs.right] - a.end_ns[pairs.left]
    if not comparable:
        return scatter(difference)
    middle, most = map(float, np.quantile(np.abs(difference), (0.5, _NEARLY_ALL)))
    # Neighbours in a pipeline leave half of their sends and receives together too.
    if not joint and most > _MUCH_FARTHER * max(middle, _ALIKE_NS):
        return np.inf
    return middle if joint else most
