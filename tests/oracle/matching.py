"""Which calls are one, and who waited in them.

Calls of one process group, or of one sender and its receiver, are aligned as sequences with gaps: a pair has to be of
one operation and dtype and to meet on the common clock, unless a rank may be done with its part before the last one
comes. Calls that name no group are one group only where all of them meet on all ranks; else that is left open.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.oracle.calls import POINT_TO_POINT, Call

Shift = Callable[[int, int], int]
"""A rank and its own time to the run's common clock."""
EARLY = ("broadcast", "reduce", "gather", "scatter", POINT_TO_POINT)


@dataclass(slots=True, kw_only=True)
class Group:
    """Calls that may belong together, by rank; `named` where the trace says so."""

    ranks: tuple[int, ...]
    named: bool
    calls: dict[int, list[Call]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """`sets` hold the calls that are one, one a rank; `open` those that no definition settles."""

    sets: list[list[Call]]
    open: list[Call]


def match(ranks: dict[int, list[Call]], shift: Shift) -> Matched:
    """Match all ranks' calls; sets `collective` and `wait` of those that are matched."""
    sets: list[list[Call]] = []
    undecided: list[Call] = []
    for group in groups_of(ranks):
        found = _aligned([group.calls[rank] for rank in group.ranks], shift) if len(group.ranks) > 1 else []
        if not group.named and sum(map(len, found)) < sum(map(len, group.calls.values())):
            undecided += [call for calls in group.calls.values() for call in calls]
        else:
            sets += found
    for number, calls in enumerate(sets):
        _join(calls, number, shift)
    return Matched(sets=sets, open=undecided)


def groups_of(ranks: dict[int, list[Call]]) -> Iterable[Group]:
    """Process groups, pairs of peers, and for each library the calls that tell no group."""
    found: dict[object, Group] = {}
    for rank, calls in ranks.items():
        for call in calls:
            key, members, named = _key(call, tuple(sorted(ranks)))
            group = found.setdefault(key, Group(ranks=members, named=named))
            group.calls[rank].append(call)
    return found.values()


def _key(call: Call, everybody: tuple[int, ...]) -> tuple[object, tuple[int, ...], bool]:
    """What calls of one group share, the group's ranks, and whether the trace settles it."""
    if call.group is None:
        return ("unnamed", call.library), everybody, False
    name = call.meta.get("Process Group Name")
    if call.op != POINT_TO_POINT:
        return (name, call.group), call.group, True
    sources = {one["Src Rank"] for one in call.members if "Src Rank" in one}
    destinations = {one["Dst Rank"] for one in call.members if "Dst Rank" in one}
    if len(call.members) == 1 and sources | destinations:
        pair = (*(sources or {call.rank}), *(destinations or {call.rank}))
        return ("pair", pair, name), pair, True
    peers = tuple(sorted({call.rank, *sources, *destinations}))
    return ("exchange", name), peers if len(peers) == 2 else call.group, len(peers) == 2


def _aligned(columns: list[list[Call]], shift: Shift) -> list[list[Call]]:
    """Rows of calls, one of each column, that pair with the first column's in order."""
    partners = [_pairs(columns[0], column, shift) for column in columns[1:]]
    whole = [call for call in columns[0] if all(id(call) in of_column for of_column in partners)]
    return [[call, *(of_column[id(call)] for of_column in partners)] for call in whole]


def _pairs(left: list[Call], right: list[Call], shift: Shift) -> dict[int, Call]:
    """The alignment of highest worth, by the id of the left call."""
    worth = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in range(len(left) - 1, -1, -1):
        for j in range(len(right) - 1, -1, -1):
            pair = _worth(left[i], right[j], shift)
            worth[i][j] = max(worth[i + 1][j], worth[i][j + 1], worth[i + 1][j + 1] + pair if pair else 0)
    pairs, i, j = {}, 0, 0
    while i < len(left) and j < len(right):
        pair = _worth(left[i], right[j], shift)
        if pair and worth[i][j] == worth[i + 1][j + 1] + pair:
            pairs[id(left[i])] = right[j]
            i, j = i + 1, j + 1
        elif worth[i][j] == worth[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _worth(left: Call, right: Call, shift: Shift) -> int:
    """Meeting counts most, then an equal number, then an equal size; 0 where the two cannot be one."""
    if (left.op, left.dtype, len(left.members)) != (right.op, right.dtype, len(right.members)):
        return 0
    starts = shift(left.rank, left.start), shift(right.rank, right.start)
    ends = shift(left.rank, left.end), shift(right.rank, right.end)
    meets = max(starts) < min(ends)
    if not meets and left.op not in EARLY:
        return 0
    same_number = left.meta.get("Seq") is not None and left.meta.get("Seq") == right.meta.get("Seq")
    return 1 + 1000 * meets + 100 * same_number + 10 * (left.bytes == right.bytes)


def _join(calls: list[Call], number: int, shift: Shift) -> None:
    """From a rank's start to the last one's; a rank that was done before did not wait. Unlike parts make one whole."""
    last = max(shift(call.rank, call.start) for call in calls)
    for call in calls:
        call.collective = number
        start, end = shift(call.rank, call.start), shift(call.rank, call.end)
        call.wait = last - start if end > last else 0
        call.common_start = start
    sizes = [call.bytes for call in calls]
    known = [size for size in sizes if size is not None]
    if calls[0].op in ("all_gather", "reduce_scatter") and len(set(known)) > 1 and len(known) == len(sizes):
        # Each rank takes all parts to be as long as its own.
        for call in calls:
            call.whole = sum(known) // len(known)
