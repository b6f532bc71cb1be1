"""What of two sides is set against each other: calls of one operation, size and group size, and what is left."""

from collections.abc import Iterable, Mapping

import msgspec

from traceana import units
from traceana.comparing import fairness
from traceana.comparing.side_calls import Key, SideCalls, joined

Found = Mapping[Key, SideCalls]


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a comparison; `doubt` says why its calls are not alike, which no number of repeats cures."""

    key: Key
    sides: tuple[SideCalls, SideCalls]
    doubt: str | None = None


class Pairing(msgspec.Struct, frozen=True, kw_only=True):
    """All rows, and in words what one side alone has; `unsized` are operations whose calls of all sizes make one row.

    Each of these comes with the names that it goes by.
    """

    pairs: tuple[Pair, ...]
    unsized: Mapping[str, tuple[str, ...]]
    only_baseline: tuple[str, ...]
    only_candidate: tuple[str, ...]


def pair(ours: Found, theirs: Found) -> Pairing:
    """Pair calls of one size over equally large groups, then of one size, then where a size is not known by name."""
    alike = [Pair(key=key, sides=(ours[key], theirs[key])) for key in _shared(ours, theirs)]
    rest = tuple(_without(found, (one.key for one in alike)) for found in (ours, theirs))
    sized = _of_other_groups(rest[0], rest[1])
    done = {(one.key.op, one.key.message_bytes) for one in sized}
    rest = tuple(
        {key: calls for key, calls in found.items() if (key.op, key.message_bytes) not in done} for found in rest
    )
    unsized = _unsized_operations(rest[0], rest[1])
    mixed = [_of_unknown_sizes(op, names, rest[0], rest[1]) for op, names in unsized.items()]
    covered = {name for names in unsized.values() for name in names}
    several = len({key.group_size for key in (*ours, *theirs)} - {None}) > 1
    only = [sorted(_in_words(key, several) for key in found if key.op not in covered) for found in rest]
    return Pairing(
        pairs=(*alike, *sized, *mixed), unsized=unsized, only_baseline=tuple(only[0]), only_candidate=tuple(only[1])
    )


def _shared(ours: Found, theirs: Found) -> list[Key]:
    return sorted((key for key in ours.keys() & theirs.keys() if key.message_bytes is not None), key=str)


def _without(found: Found, keys: Iterable[Key]) -> dict[Key, SideCalls]:
    gone = set(keys)
    return {key: calls for key, calls in found.items() if key not in gone}


def _of_other_groups(ours: Found, theirs: Found) -> list[Pair]:
    """Rows of one size whose groups are not of one size, or not known on one side."""
    sizes = [
        {(key.op, key.message_bytes) for key in found if key.message_bytes is not None} for found in (ours, theirs)
    ]
    return [_of_all_groups(op, size, ours, theirs) for op, size in sorted(sizes[0] & sizes[1], key=str)]


def _of_all_groups(op: str, message_bytes: int | None, ours: Found, theirs: Found) -> Pair:
    a, b = (
        joined(calls for key, calls in found.items() if (key.op, key.message_bytes) == (op, message_bytes))
        for found in (ours, theirs)
    )
    key = Key(op=op, message_bytes=message_bytes, group_size=None)
    return Pair(key=key, sides=(a, b), doubt=fairness.group_doubt(a, b))


def _of_unknown_sizes(op: str, names: tuple[str, ...], ours: Found, theirs: Found) -> Pair:
    a, b = (joined(calls for key, calls in found.items() if key.op in names) for found in (ours, theirs))
    key = Key(op=op, message_bytes=None, group_size=None)
    return Pair(key=key, sides=(a, b), doubt=fairness.mixture_doubt(a, b, "sizes"))


def _unsized_operations(ours: Found, theirs: Found) -> dict[str, tuple[str, ...]]:
    """Operations that both sides still have and of which one does not know the size, with the names they go by."""
    unsized = {key.op for key in (*ours, *theirs) if key.message_bytes is None}
    present = [{key.op for key in side} for side in (ours, theirs)]
    return {op: _aliases(op) for op in sorted(unsized) if all(names & set(_aliases(op)) for names in present)}


def _aliases(op: str) -> tuple[str, ...]:
    # An all-to-all without metadata is one of NCCL's SendRecv kernels, like any point-to-point call.
    return ("all_to_all", "send_recv") if op == "send_recv" else (op,)


def _in_words(key: Key, several_groups: bool) -> str:
    size = f"{key.op} of unknown size" if key.message_bytes is None else units.sized(key.op, key.message_bytes)
    return f"{size} {units.over_ranks(key.group_size)}" if several_groups and key.group_size else size
