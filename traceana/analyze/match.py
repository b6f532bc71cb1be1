"""Collectives across ranks: matched by process group and order or number, wait and transfer told apart.

The last rank to arrive waits for nobody. For rank r, wait = last start − start of r and transfer = the rest of its
duration; a rank that was done before the last one arrived (a broadcast's root may be) did not wait for it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from traceana.analyze.align import CallSequence, align, intersecting
from traceana.analyze.clocks import ClockOffsets, CommonEnds, estimate, on_other_hosts
from traceana.analyze.collectives import Collectives
from traceana.trace.columns import Ints

GroupKey = tuple[tuple[int, ...] | None, str | None, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedGroup:
    """Collectives of one process group: `calls[i, j]` is the index of collective i among the calls of ranks[j]."""

    ranks: tuple[int, ...]
    calls: Ints
    start_ns: Ints
    """On the common clock."""
    wait_ns: Ints
    transfer_ns: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """All matched groups, the clock offsets used, and why some groups could not be matched."""

    groups: tuple[MatchedGroup, ...]
    clocks: ClockOffsets
    notes: tuple[str, ...]

    def per_rank(self, rank: int, calls: int) -> tuple[Ints, Ints]:
        """For one rank's calls their wait and transfer in ns, 0 where they are not matched."""
        wait, transfer = np.zeros(calls, dtype=np.int64), np.zeros(calls, dtype=np.int64)
        for group in self.groups:
            if rank in group.ranks:
                column = group.ranks.index(rank)
                index = group.calls[:, column]
                wait[index] = group.wait_ns[:, column]
                transfer[index] = group.transfer_ns[:, column]
        return wait, transfer


def match(ranks: Mapping[int, Collectives], world_size: int, hosts: Mapping[int, str | None]) -> Matching:
    """Match the calls of all ranks. A group whose ranks are not all present stays unmatched and is noted."""
    members = _members(ranks)
    notes: list[str] = []
    aligned: list[tuple[tuple[int, ...], Ints]] = []
    pairs: list[CommonEnds] = []
    for key, indexes in members.items():
        group = key[0] or tuple(range(world_size))
        absent = [rank for rank in group if rank not in indexes]
        if len(group) < 2:
            continue
        if absent:
            notes.append(_absence(key, group, absent))
            continue
        sequences = _sequences(ranks, group, indexes)
        rows, ends = _align_group(group, sequences, hosts)
        aligned.append((group, np.stack([indexes[rank][rows[:, j]] for j, rank in enumerate(group)], axis=1)))
        pairs.extend(ends)
    clocks = estimate(pairs, hosts)
    groups = tuple(_split(ranks, group, calls, clocks) for group, calls in aligned)
    return Matching(groups=groups, clocks=clocks, notes=tuple(notes))


def _members(ranks: Mapping[int, Collectives]) -> dict[GroupKey, dict[int, Ints]]:
    """For each process group and each of its ranks, the indexes of the rank's calls in order."""
    members: dict[GroupKey, dict[int, Ints]] = defaultdict(dict)
    for rank, calls in ranks.items():
        keys = [_key(signature.group, signature.group_name, signature.library) for signature in calls.signatures]
        for key in set(keys):
            codes = [code for code, other in enumerate(keys) if other == key]
            members[key][rank] = np.flatnonzero(np.isin(calls.signature, codes))
    return members


def _key(group: tuple[int, ...] | None, name: str | None, library: str) -> GroupKey:
    # Calls that tell no group are taken for the whole world's, each library in its own order.
    return (group, name, "") if group or name else (None, None, library)


def _absence(key: GroupKey, group: Sequence[int], absent: Sequence[int]) -> str:
    name = f"process group {key[1]}" if key[1] else f"{key[2]} calls without a process group"
    listed = ", ".join(map(str, absent[:8])) + (", …" if len(absent) > 8 else "")
    return f"{name}: not matched, since {len(absent)} of its {len(group)} ranks have no such calls here ({listed})"


def _sequences(
    ranks: Mapping[int, Collectives], group: Sequence[int], indexes: Mapping[int, Ints]
) -> list[CallSequence]:
    codes: dict[object, int] = {}
    sequences = []
    for rank in group:
        calls, index = ranks[rank], indexes[rank]
        code = [codes.setdefault((s.op, s.dtype, s.message_bytes), len(codes)) for s in calls.signatures]
        sequences.append(
            CallSequence(
                start_ns=calls.start_ns[index],
                end_ns=calls.end_ns[index],
                seq=calls.seq[index],
                code=np.array(code, dtype=np.int64)[calls.signature[index]],
            )
        )
    return sequences


def _align_group(
    group: Sequence[int], sequences: Sequence[CallSequence], hosts: Mapping[int, str | None]
) -> tuple[Ints, list[CommonEnds]]:
    """Rows of indexes that agree on every rank, and what they say about the clocks."""
    reference = sequences[0]
    rows = np.full((len(reference), len(group)), -1, dtype=np.int64)
    rows[:, 0] = np.arange(len(reference))
    ends = []
    for column, other in enumerate(sequences[1:], start=1):
        apart = on_other_hosts(group[0], group[column], hosts) is True
        left, right = align(reference, other, other_clock=apart)
        rows[left, column] = right
        ends.append(
            CommonEnds(
                first=group[0],
                second=group[column],
                first_end_ns=reference.end_ns[left],
                second_end_ns=other.end_ns[right],
                intersecting=intersecting(reference, other, left, right),
            )
        )
    return rows[(rows >= 0).all(axis=1)], ends


def _split(ranks: Mapping[int, Collectives], group: tuple[int, ...], calls: Ints, clocks: ClockOffsets) -> MatchedGroup:
    shift = [clocks.offset_ns.get(rank, 0) for rank in group]
    start = np.stack([ranks[rank].start_ns[calls[:, j]] - shift[j] for j, rank in enumerate(group)], axis=1)
    end = np.stack([ranks[rank].end_ns[calls[:, j]] - shift[j] for j, rank in enumerate(group)], axis=1)
    last = start.max(axis=1, keepdims=True)
    wait = np.where(end > last, last - start, 0)
    return MatchedGroup(ranks=group, calls=calls, start_ns=start, wait_ns=wait, transfer_ns=end - start - wait)
