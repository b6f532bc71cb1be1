"""Collectives across ranks: which calls of which ranks are one, on a clock that all share.

First the groups that are known, as far as names of hosts and sequence numbers go; from them the clocks; with the clocks
what only times can match: calls without numbers, groups that nothing names, sends and receives.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
import numpy as np
from msgspec.structs import replace

from traceana.analyze.align import SLACK_NS, TOGETHER_NS, CallSequence, align, numbered
from traceana.analyze.clocks import ClockOffsets, JointCalls, estimate
from traceana.analyze.collectives import Collectives
from traceana.analyze.groups import Group, listed, process_groups, sequences
from traceana.analyze.machines import Machines, machines
from traceana.analyze.matched import MatchedCalls, Matching
from traceana.analyze.partition import Found, find_groups
from traceana.analyze.point_to_point import exchanges
from traceana.trace.columns import Ints
from traceana.trace.narrow import narrow


class _Aligned(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of a group that are the same on all its present ranks: rows of positions, a column a rank."""

    group: Group
    sequences: Mapping[int, CallSequence]
    rows: Ints
    numbers_wrong: bool


def match(
    ranks: Mapping[int, Collectives],
    world_size: int,
    hosts: Mapping[int, str | None],
    stated: Sequence[tuple[int, ...]] = (),
) -> Matching:
    """Match the calls of all ranks; `stated` are the ranks of the process groups that headers name.

    What cannot be matched with good reason stays unmatched and is noted.
    """
    groups, notes = process_groups(ranks, point_to_point=False)
    known = [Found(group=group, calls=sequences(ranks, group)) for group in groups if group.ranks]
    unknown = [Found(group=group, calls=dict(sequences(ranks, group))) for group in groups if not group.ranks]
    shared = machines([one.calls for one in known], [one.calls for one in unknown], ranks, hosts)
    aligned = [_align(one, shared) for one in known]
    clocks = estimate(_joint(aligned, shared), shared)
    found, unsupported = find_groups(unknown, clocks, world_size, stated)
    if found:
        aligned += [_align(one, shared) for one in found]
        clocks = estimate(_joint(aligned, shared), shared)
    aligned = [_by_time(one, clocks, shared) for one in aligned]
    between = process_groups(ranks, point_to_point=True)[0]
    rings = [_ring(ranks, group, clocks, shared) for group in between]
    aligned += [ring for ring in rings if ring]
    pairs = [group for group, ring in zip(between, rings, strict=True) if not ring]
    exchanged, unpaired = exchanges(ranks, pairs, clocks)
    if exchanged and len(set(shared.of_rank.values())) == 1 and clocks.clock.method == "unknown":
        clocks = replace(clocks, clock=replace(clocks.clock, method="shared"))
    return Matching(
        found=(*(_matched(one) for one in aligned if not one.group.absent), *exchanged),
        own=ranks,
        clocks=clocks,
        notes=(*notes, *shared.notes, *clocks.notes, *_notes(aligned), *unsupported, *unpaired),
    )


def _align(one: Found, shared: Machines) -> _Aligned:
    """Rows that agree on every present rank, as far as each pair of ranks is known to share a clock."""
    ranks = sorted(one.calls)
    reference = one.calls[ranks[0]]
    rows = narrow(np.full((len(reference), len(ranks)), -1, dtype=np.int64))
    rows[:, 0] = np.arange(len(reference))
    numbers_wrong = False
    ahead_ns = {shared.of_rank[ranks[0]]: 0}
    for column, rank in enumerate(ranks[1:], start=1):
        machine, calls = shared.of_rank[rank], one.calls[rank]
        found = align(reference, calls, ahead_ns.get(machine))
        if machine not in ahead_ns and 2 * len(found.left) > len(reference) and not numbered(calls):
            # The machine's other ranks need not look for its clock again.
            ahead_ns[machine] = int(np.median(calls.end_ns[found.right] - reference.end_ns[found.left]))
        rows[found.left, column] = found.right
        numbers_wrong |= found.numbers_wrong
    rows = rows[(rows >= 0).all(axis=1)]
    return _Aligned(group=one.group, sequences=one.calls, rows=rows, numbers_wrong=numbers_wrong)


def _by_time(one: _Aligned, clocks: ClockOffsets, shared: Machines) -> _Aligned:
    """Aligned anew on the common clock, where numbers cannot do it and ranks have several clocks."""
    ranks = list(one.sequences)
    many = len({shared.of_rank[rank] for rank in ranks}) > 1
    if not many or not clocks.comparable(ranks) or all(numbered(calls) for calls in one.sequences.values()):
        return one
    common = {
        rank: replace(calls, start_ns=clocks.common(rank, calls.start_ns), end_ns=clocks.common(rank, calls.end_ns))
        for rank, calls in one.sequences.items()
    }
    together = Machines(of_rank=dict.fromkeys(ranks, ranks[0]), notes=())
    return _align(Found(group=one.group, calls=common), together)


def _ring(ranks: Mapping[int, Collectives], group: Group, clocks: ClockOffsets, shared: Machines) -> _Aligned | None:
    """Sends without a peer that all ranks of the group are inside together and leave together, as in a ring."""
    told = any(s.sends_to or s.receives_from for rank in group.calls for s in ranks[rank].signatures)
    if told or group.absent or not group.ranks or not clocks.comparable(group.ranks):
        return None
    one = _by_time(_align(Found(group=group, calls=sequences(ranks, group)), shared), clocks, shared)
    if any(len(calls) != len(one.rows) for calls in one.sequences.values()) or not len(one.rows):
        return None
    found = _matched(one).timed(ranks, clocks)
    ends = found.start_ns + found.wait_ns + found.transfer_ns
    meet = found.start_ns.max(axis=1) <= ends.min(axis=1) + SLACK_NS
    return one if meet.all() and np.median(np.ptp(ends, axis=1)) <= TOGETHER_NS else None


def _joint(aligned: Iterable[_Aligned], shared: Machines) -> Iterator[JointCalls]:
    """What says something of the clocks: calls that all ranks leave together, where there are several on several."""
    several = len(set(shared.of_rank.values())) > 1
    for one in aligned:
        if len(one.rows) and len({shared.of_rank[rank] if several else rank for rank in one.sequences}) > 1:
            yield _joint_calls(one)


def _joint_calls(one: _Aligned) -> JointCalls:
    ranks = sorted(one.sequences)
    rows = one.rows[one.sequences[ranks[0]].joint[one.rows[:, 0]]]
    columns = [(one.sequences[rank], rows[:, column]) for column, rank in enumerate(ranks)]
    return JointCalls(
        ranks=tuple(ranks),
        start_ns=np.stack([calls.start_ns[index] for calls, index in columns], axis=1),
        end_ns=np.stack([calls.end_ns[index] for calls, index in columns], axis=1),
    )


def _matched(one: _Aligned) -> MatchedCalls:
    """Rows of the group's calls as indexes among all calls of each rank."""
    ranks = tuple(sorted(one.sequences))
    calls = np.stack([one.group.calls[rank][one.rows[:, column]] for column, rank in enumerate(ranks)], axis=1)
    return MatchedCalls(ranks=ranks, calls=narrow(calls, 2))


def _notes(aligned: Iterable[_Aligned]) -> list[str]:
    notes = []
    for one in aligned:
        absent = one.group.absent
        if absent:
            many = f"{len(absent)} of its {len(one.group.ranks or ())} ranks have no such calls here"
            notes.append(f"{one.group.title}: not matched, since {many} ({listed(absent)})")
        if one.numbers_wrong:
            notes.append(
                f"{one.group.title}: its sequence numbers are not used, since calls with equal numbers do not meet in "
                "time; its calls are matched by time and order"
            )
    return notes
