"""The process groups of a run, each with the calls that its ranks made in it.

A group that a call names by its ranks is known. One that has a name alone, or a list that c10d cut by "...", is made of
the ranks that name it, if they are as many as the stated size. What nothing names is left open: see `partition`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from traceana.analyze.align import CallSequence
from traceana.analyze.collectives import Collectives, Signature
from traceana.analyze.each_rank import EachRank
from traceana.kernels import operation_named
from traceana.trace.columns import Ints

_MOST_LISTED = 8


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """One process group: `ranks` is None where they are not known, `calls` are indexes of each present rank's calls."""

    ranks: tuple[int, ...] | None
    name: str | None
    library: str
    size: int | None
    calls: Mapping[int, Ints]

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"process group {self.name}" if self.name else f"{self.library} calls without a process group"

    @property
    def absent(self) -> tuple[int, ...]:
        """Its ranks that have no such calls."""
        return tuple(rank for rank in self.ranks or () if rank not in self.calls)


def listed(ranks: Sequence[int]) -> str:
    """The first of many ranks, in words."""
    return ", ".join(map(str, ranks[:_MOST_LISTED])) + (", …" if len(ranks) > _MOST_LISTED else "")


def is_point_to_point(signature: Signature) -> bool:
    """Whether a call is between pairs of ranks, as far as that is told."""
    return signature.sends_to is not None or signature.receives_from is not None


_Key = tuple[tuple[int, ...] | None, str | None, str, int | None]


def process_groups(ranks: Mapping[int, Collectives], *, point_to_point: bool) -> tuple[list[Group], list[str]]:
    """All groups of two and more, and contradictions in what is said of them."""
    codes: dict[_Key, dict[int, list[int]]] = defaultdict(dict)
    stated: dict[_Key, set[int]] = defaultdict(set)
    for rank in sorted(ranks):
        for code, signature in enumerate(ranks[rank].signatures):
            if is_point_to_point(signature) == point_to_point:
                key = _key(signature)
                codes[key].setdefault(rank, []).append(code)
                stated[key].update([signature.group_size] if signature.group_size else [])
    groups = [_group(key, found, ranks) for key, found in codes.items()]
    notes = [
        f"{group.title}: its calls state a size of {size}, but it is made of {len(group.ranks)} ranks"
        for key, group in zip(codes, groups, strict=True)
        for size in sorted(stated[key])
        if group.ranks is not None and size != len(group.ranks)
    ]
    return [group for group in groups if group.ranks is None or len(group.ranks) > 1], notes


def _key(signature: Signature) -> _Key:
    if signature.group:
        return signature.group, signature.group_name, "", None
    if signature.group_name:
        return None, signature.group_name, "", signature.group_size
    return None, None, signature.library, signature.group_size


def _group(key: _Key, codes: Mapping[int, Sequence[int]], ranks: Mapping[int, Collectives]) -> Group:
    members, name, library, size = key
    calls = {rank: _made(ranks[rank], mine) for rank, mine in codes.items()}
    if members is None and name and len(calls) == size:
        members = tuple(sorted(calls))
    return Group(ranks=members, name=name, library=library, size=size, calls=calls)


def _made(calls: Collectives, codes: Sequence[int]) -> Ints:
    """Rows of the calls of some signatures, as narrow as they may be: they are kept for all ranks."""
    return np.flatnonzero(np.isin(calls.signature, codes)).astype(np.int32)


def sequences(ranks: Mapping[int, Collectives], group: Group) -> Mapping[int, CallSequence]:
    """Each present rank's calls in the group, in order, with equal codes where calls can be the same collective."""
    uneven = _uneven(ranks, group)
    codes: dict[object, int] = {}

    def of_rank(rank: int) -> CallSequence:
        calls, index = ranks[rank], group.calls[rank]
        kinds = [(s.op, s.dtype, None if s.op in uneven else s.message_bytes) for s in calls.signatures]
        code = np.array([codes.setdefault(kind, len(codes)) for kind in kinds], dtype=np.int64)
        joint = np.array([operation_named(s.op).joint for s in calls.signatures], dtype=np.bool_)
        return CallSequence(
            start_ns=calls.start_ns[index],
            end_ns=calls.end_ns[index],
            seq=calls.seq[index],
            code=code[calls.signature[index]],
            joint=joint[calls.signature[index]],
        )

    return EachRank({rank: rank for rank in group.calls}, of_rank)


def _uneven(ranks: Mapping[int, Collectives], group: Group) -> set[str]:
    """Operations whose sizes differ by rank, so that sizes do not tell calls apart."""
    sizes: dict[str, dict[int, set[int | None]]] = defaultdict(lambda: defaultdict(set))
    for rank, index in group.calls.items():
        for code in np.unique(ranks[rank].signature[index]).tolist():
            signature = ranks[rank].signatures[code]
            if operation_named(signature.op).uneven:
                sizes[signature.op][rank].add(signature.message_bytes)
    return {op for op, by_rank in sizes.items() if len({frozenset(mine) for mine in by_rank.values()}) > 1}
