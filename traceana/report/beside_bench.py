"""A run's calls beside a bench of the same."""

import msgspec


class BenchedCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Steady calls of one kind beside a bench of that operation and size over as many ranks.

    `share` is the bench's time over the run's median duration, waiting included: 1 where the run is as fast. Of what it
    lacks, `waiting` is the share of the duration before the last rank arrived, and `contention` what the transfer takes
    longer than the bench, below 0 where it takes less; both None where calls were not matched.
    """

    op: str
    message_bytes: int
    dtype: str | None
    group_size: int
    backend: str
    count: int
    duration_ns: int
    transfer_ns: int | None
    bench_backend: str
    bench_ns: int
    share: float
    waiting: float | None
    contention: float | None
    fastest_backend: str
    """The bench's fastest at this size, certain or not; `bench_backend` where there is no other."""
    fastest_ns: int


class UnbenchedCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that no given bench has, why, and the command that would measure them (None where bench has none)."""

    op: str
    message_bytes: int
    dtype: str | None
    group_size: int
    backend: str
    count: int
    reason: str
    command: str | None


class BesideBench(msgspec.Struct, frozen=True, kw_only=True):
    """All calls of a run with a size; `notes` say where bench and run are not of the same machine or versions."""

    benched: tuple[BenchedCalls, ...]
    unbenched: tuple[UnbenchedCalls, ...]
    notes: tuple[str, ...]
