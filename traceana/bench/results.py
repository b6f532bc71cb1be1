"""What a bench found: the value behind the table, `bench.json` and the verdicts.

Times are ns, bandwidths decimal GB/s as nccl-tests counts them; None means not known.
"""

from dataclasses import dataclass

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow:
    """One operation at one size with one backend; each call counts with the slowest rank's time.

    `graph` tells calls of a CUDA graph from eager ones; in a graph percentiles are over replays. `launch_ns` is what
    one call costs the host. `blocks_ns` are the medians of the blocks, which are what is compared.
    """

    op: str
    message_bytes: int
    dtype: str
    backend: str
    graph: bool
    in_place: bool
    calls: int
    p50_ns: int
    p95_ns: int
    p99_ns: int
    algbw_gbps: float
    busbw_gbps: float
    launch_ns: int | None
    blocks_ns: tuple[int, ...]
    checked: bool
    under_compute_p50_ns: int | None = None
    """The same while a matrix product runs on another stream."""
    compute_slowdown: float | None = None
    """How much longer the matrix product takes beside the calls than alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchVerdict:
    """Which backend is fastest for one operation at one size, eager and graph apart.

    `speedup` is the second best's time over the best's with its 95 % interval. `certain` says whether the best is
    faster than every other, with false alarms held at 5 % over the whole bench.
    """

    op: str
    message_bytes: int
    graph: bool
    best: str
    second: str
    speedup: float
    ci_low: float
    ci_high: float
    certain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """Between two sizes another backend becomes the fastest, both certain at their size."""

    op: str
    graph: bool
    smaller: str
    larger: str
    from_bytes: int
    to_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotMeasured:
    """What was asked for and could not be measured, and why."""

    backend: str
    op: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """All of it. `machine` and `backends` are pairs of a name and what is known of it."""

    schema_version: int = SCHEMA_VERSION
    ranks: int
    machine: tuple[tuple[str, str], ...]
    backends: tuple[tuple[str, str], ...]
    rows: tuple[BenchRow, ...]
    verdicts: tuple[BenchVerdict, ...]
    crossovers: tuple[Crossover, ...]
    not_measured: tuple[NotMeasured, ...]
