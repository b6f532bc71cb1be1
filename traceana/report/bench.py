"""What a bench found: the value behind its table, `bench.json`, the page and the verdicts.

Times are ns, bandwidths decimal GB/s as nccl-tests counts them; None means not known.
"""

import msgspec

BENCH_SCHEMA_VERSION = 1
SIZED_OPERATIONS = (
    "all_reduce",
    "all_gather",
    "reduce_scatter",
    "broadcast",
    "reduce",
    "all_to_all",
    "all_to_allv",
    "send_recv",
    "send_recv_pair",
)
"""What `traceana bench` measures by size alone."""
DTYPES = {"bfloat16": 2, "float16": 2, "float32": 4}
"""Element types that it measures, with their bytes."""


class BenchRow(msgspec.Struct, frozen=True, kw_only=True):
    """One operation at one size with one backend; the slowest rank's time counts.

    `p50_ns` is the median over blocks of a block's time by its calls, which follow each other at once. `p95_ns` and
    `p99_ns` lie above it by what single calls, with events between them, lie above their own median; in a CUDA graph
    (`graph`) they are over replays. `launch_ns` is what one call costs the host. `blocks_ns` are the blocks' times of a
    call, which are what is compared.
    """

    op: str
    message_bytes: int
    dtype: str
    backend: str
    graph: bool
    in_place: bool
    calls: int
    p50_ns: int
    p95_ns: int | None
    p99_ns: int | None
    algbw_gbps: float
    busbw_gbps: float
    launch_ns: int | None
    blocks_ns: tuple[int, ...]
    checked: bool
    under_compute_p50_ns: int | None = None
    """The same while a matrix product runs on another stream."""
    compute_slowdown: float | None = None
    """How much longer the matrix product takes beside the calls than alone."""
    default_stream_p50_ns: int | None = None
    """In a CUDA graph: the same where it is replayed on CUDA's default stream, on which torch puts what a program does
    not put elsewhere."""


class BenchVerdict(msgspec.Struct, frozen=True, kw_only=True):
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
    leaders: tuple[str, ...] = ()
    """All that are not certainly slower than the best, itself first."""


class Crossover(msgspec.Struct, frozen=True, kw_only=True):
    """Between two sizes another backend leads: no backend is among the leaders on both sides.

    `smaller` and `larger` are the fastest of those that lead all sizes of their side. `from_bytes` is the last size at
    which `larger` is certainly slower, `to_bytes` the first at which `smaller` is. `at_bytes` is where the two take the
    same time, by a straight line between measured sizes in logarithms; `low_bytes` and `high_bytes` are where the 95 %
    interval of their ratio meets 1.
    """

    op: str
    graph: bool
    smaller: str
    larger: str
    from_bytes: int
    to_bytes: int
    at_bytes: int
    low_bytes: int
    high_bytes: int


class GuideCheck(msgspec.Struct, frozen=True, kw_only=True):
    """PyNccl against torch.distributed, beside the speed-up that the guide expects at this size.

    `verdict` is `within`, `below` or `above` where the 95 % interval lies so as a whole, else `cannot tell`.
    """

    op: str
    message_bytes: int
    graph: bool
    speedup: float
    ci_low: float
    ci_high: float
    expected_low: float
    expected_high: float
    verdict: str


class Peak(msgspec.Struct, frozen=True, kw_only=True):
    """The most bandwidth that a rank's link has in one direction, which busbw is compared with, and where from."""

    link: str
    gbps: float
    source: str


class NotMeasured(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for and could not be measured, and why."""

    backend: str
    op: str | None
    reason: str


class BenchReport(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `machine` and `backends` are pairs of a name and what is known of it."""

    schema_version: int = BENCH_SCHEMA_VERSION
    ranks: int
    machine: tuple[tuple[str, str], ...]
    backends: tuple[tuple[str, str], ...]
    rows: tuple[BenchRow, ...]
    verdicts: tuple[BenchVerdict, ...]
    crossovers: tuple[Crossover, ...]
    not_measured: tuple[NotMeasured, ...]
    guide: tuple[GuideCheck, ...] = ()
    hosts: int = 1
    peak: Peak | None = None
    """None where it is not known."""
    shape: str | None = None
    """The model and request that the messages are of, with their source."""
