"""Which side is compared with which: those that differ in one thing."""

from collections.abc import Sequence

from traceana.comparing.sides import Side, baseline_of


def pairs(found: Sequence[Side], baseline: str | None) -> tuple[tuple[Side, Side], ...]:
    """Baselines with their candidates, in the order of the sides. All with `baseline` where it is given.

    Else each side with the first before it of as many ranks: by preference with one of the same command and settings
    and another backend, then with one of the same command and backend. A side that no other has as many ranks as is
    compared with the first of all. Raises TraceanaError where `baseline` names no side.
    """
    if baseline is not None:
        first = baseline_of(found, baseline)
        return tuple((first, side) for side in found if side is not first)
    return tuple(
        (_partner(side, found[:place]), side)
        for place, side in enumerate(found)
        if place and not _leads(side, found[:place], found[place + 1 :])
    )


def _leads(side: Side, before: Sequence[Side], after: Sequence[Side]) -> bool:
    """Whether a side is the first of several that have as many ranks."""
    return not any(_as_many_ranks(side, one) for one in before) and any(_as_many_ranks(side, one) for one in after)


def _partner(side: Side, before: Sequence[Side]) -> Side:
    for likeness in (_other_backend, _other_setting, _same_command, _as_many_ranks):
        for one in before:
            if likeness(side, one):
                return one
    return before[0]


def _as_many_ranks(side: Side, other: Side) -> bool:
    return side.runs[0].report.world_size == other.runs[0].report.world_size


def _same_command(side: Side, other: Side) -> bool:
    return _as_many_ranks(side, other) and _command(side) == _command(other)


def _other_setting(side: Side, other: Side) -> bool:
    return _same_command(side, other) and side.runs[0].report.backend == other.runs[0].report.backend


def _other_backend(side: Side, other: Side) -> bool:
    same_backend = side.runs[0].report.backend == other.runs[0].report.backend
    return _same_command(side, other) and not same_backend and _settings(side) == _settings(other)


def _command(side: Side) -> tuple[str, ...] | None:
    setup = side.runs[0].report.setup
    return setup.argv if setup else None


def _settings(side: Side) -> object:
    setup = side.runs[0].report.setup
    return (setup.nccl_presets, setup.nccl_set) if setup else None
