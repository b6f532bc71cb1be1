"""The value that `analyze` makes and every renderer takes: what `report.json` holds, field by field.

Times are integer nanoseconds, sizes bytes, bandwidths decimal GB/s as nccl-tests prints them
(https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md). `None` means "not known", never zero.
"""

from dataclasses import dataclass

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Nearest-rank percentiles of some durations, in ns."""

    min: int
    p50: int
    p95: int
    p99: int
    max: int
    sum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Counts over logarithmic bins: `edges_ns` has one more entry than `counts`."""

    edges_ns: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankReport:
    """How one rank spent its window, by union of intervals over all streams of its devices.

    compute_ns + exposed_comm_ns + exposed_memory_ns + idle_ns == span_ns, and
    overlapped_comm_ns + exposed_comm_ns == comm_ns.
    """

    rank: int
    file: str
    host: str | None
    gpu: str | None
    source: str
    """`gpu` when GPU activities were counted, `cpu` when the trace holds host spans only."""
    span_ns: int
    compute_ns: int
    comm_ns: int
    overlapped_comm_ns: int
    exposed_comm_ns: int
    memory_ns: int
    exposed_memory_ns: int
    """Memory copies and sets outside compute and communication."""
    idle_ns: int
    kernels: int
    comm_kernels: int
    clock_offset_ns: int
    """Subtracted from this rank's times before ranks are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """All calls of one kind: same operation, dtype, message size, group size, backend and library.

    `count` counts per-rank calls summed over ranks. `wait_ns` and `transfer_ns` cover matched calls only; bandwidths
    are at the median transfer, or at the median duration where no call was matched (`bandwidth_basis` says which).
    """

    op: str
    dtype: str | None
    message_bytes: int | None
    group_size: int | None
    backend: str
    library: str
    count: int
    matched: int
    duration_ns: Distribution
    transfer_ns: Distribution | None
    wait_ns: Distribution | None
    exposed_ns: int
    """Sum over the calls of the part that no compute of the same device covers."""
    algbw_gbps: float | None
    busbw_gbps: float | None
    bandwidth_basis: str | None
    """`transfer`, `duration`, or None where the size is not known."""
    histogram: Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Calls of one operation whose message size falls in [lower_bytes, upper_bytes).

    `scheme` is `guide` (under 1 MiB, 1 to 10 MiB, above) or `powers` (powers of two).
    """

    op: str
    scheme: str
    lower_bytes: int
    upper_bytes: int | None
    count: int
    sum_ns: int
    p50_ns: int
    p95_ns: int
    p99_ns: int
    busbw_gbps: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Straggler:
    """How often a rank was the last to arrive, and how long all its peers together waited for it then."""

    rank: int
    times_last: int
    wait_caused_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RankWait:
    """One cell of the wait matrix: the time that `rank` spent waiting for its peers inside `op`."""

    rank: int
    op: str
    calls: int
    wait_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanInstance:
    """One execution of a user span, means over the ranks that have it. `duration_ns` is the host's."""

    name: str
    duration_ns: int
    comm_ns: int
    exposed_comm_ns: int
    compute_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A user span (`denoise_step`, `UlyssesAttention`, `ProfilerStep`) over all its executions on all ranks.

    Device times are sums over the kernels launched inside the span; `instances` lists numbered executions
    (`denoise_step 0`, `denoise_step 1`, …), at most 200, and is empty for spans without a number.
    """

    name: str
    count: int
    duration_ns: Distribution
    comm_ns: int
    exposed_comm_ns: int
    compute_ns: int
    instances: tuple[SpanInstance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSite:
    """The calls of one operation and size that one place in the program issued, over all ranks.

    `site` is the innermost user span or, in a trace with Python stacks, `nn.Module` that was open when the call was
    launched, without its number; None where nothing was open. `p50_ns` and `sum_ns` are durations, waiting included;
    `transfer_p50_ns` covers matched calls only.
    """

    site: str | None
    op: str
    message_bytes: int | None
    count: int
    p50_ns: int
    transfer_p50_ns: int | None
    sum_ns: int
    exposed_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Clocks of the ranks against the lowest rank's.

    `method` is `shared` (one host, nothing estimated), `collectives` (offsets estimated from the ends of matched
    collectives) or `unknown` (no matched collective to estimate from). `residual_ns` is the median absolute
    difference of the ends after correction: skew below it means nothing.
    """

    method: str
    residual_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineSlice:
    """A stretch of one rank's device on the timeline strip; `kind` is compute, comm, overlapped or memory."""

    start_ns: int
    end_ns: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineRow:
    """One rank's slices, ordered and not overlapping."""

    rank: int
    slices: tuple[TimelineSlice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One step of all ranks on a common clock; times are relative to the strip's start."""

    title: str
    duration_ns: int
    rows: tuple[TimelineRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TruncatedFile:
    """A file that ends early: `events` whole ones were kept."""

    file: str
    rank: int
    events: int
    missing: str
    """In words: how much is gone, as far as it can be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What the numbers stand on. `collectives` and `matched` count per-rank calls."""

    collectives: int
    matched: int
    without_size: int
    truncated_files: tuple[TruncatedFile, ...]
    skipped_events: int
    failed_files: tuple[str, ...]
    """Files that could not be read at all, each with its reason."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HtaTable:
    """One table that HolisticTraceAnalysis made: cells are already text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HtaSection:
    """HolisticTraceAnalysis on one rank, or why it failed there."""

    rank: int
    version: str
    tables: tuple[HtaTable, ...]
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NcclLog:
    """What NCCL's own log says on one rank: pairs such as ("transports", "P2P/CUMEM (24 channels)")."""

    rank: int
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingRank:
    """A rank that left no trace, and why."""

    rank: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How capture ran the command, from run.json. Pairs are names and values, such as ("NCCL_ALGO", "Ring")."""

    argv: tuple[str, ...]
    started: str | None
    """ISO 8601."""
    exit_code: int | None
    window: tuple[tuple[str, str], ...]
    backend_asked: str | None
    backend_adapter: str | None
    backend_seen: tuple[str, ...]
    backend_mismatch: str | None
    """Why the traces do not show the backend that was asked for; None where they do."""
    nccl_presets: tuple[str, ...]
    nccl_set: tuple[tuple[str, str], ...]
    nccl_logs: tuple[NcclLog, ...]
    environment: tuple[tuple[str, str], ...]
    missing: tuple[MissingRank, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """One execution of the run's step or request, in order.

    `duration_ns` runs from the first device activity that any rank launched in it to the last one's end (the host's
    times where nothing was launched), the longest of the ranks; the other times are means over the ranks.
    """

    name: str
    duration_ns: int
    exposed_comm_ns: int
    compute_ns: int
    warm_up: bool
    """The first one: connections are made and memory is allocated in it. Left out of every comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of a request: all its entries of one name added up, as sglang's `compare_perf.py` does."""

    name: str
    duration_ns: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCheckpoint:
    """What the allocator held when a stage ended, in bytes; None where the dump does not say."""

    name: str
    allocated_bytes: int | None
    reserved_bytes: int | None
    peak_allocated_bytes: int | None
    peak_reserved_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PerfDump:
    """One request as sglang's `--perf-dump-path` tells it: host-side times, in the order of the file."""

    file: str
    request_id: str | None
    commit: str | None
    tag: str | None
    timestamp: str | None
    total_ns: int
    stages: tuple[Stage, ...]
    denoise_steps_ns: tuple[int, ...]
    memory: tuple[MemoryCheckpoint, ...]
    meta: tuple[tuple[str, str], ...]
    """Pairs such as ("model", "Wan2.1")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Something that makes a run's times unsteady. `kind` is `drift` (a rank's compute a step changes over the
    recording) or `uneven` (a rank computes slower than its peers); `change` is the relative change."""

    kind: str
    rank: int
    change: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRow:
    """Calls of one kind that ran on both backends back to back, in alternating order; times are the slowest rank's.

    `speedup` is torch.distributed over PyNccl, so above 1 PyNccl is faster; `ci_low` and `ci_high` bound it at 95 %.
    `disagreeing` counts the pairs whose results differ by more than rounding.
    """

    op: str
    message_bytes: int
    dtype: str
    group_size: int
    pairs: int
    disagreeing: int
    torch_p50_ns: int
    pynccl_p50_ns: int
    speedup: float
    ci_low: float | None
    ci_high: float | None
    verdict: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """One run: a set of ranks that worked together under one label.

    Repeats of one setting form a side: they share `side`, and `repeat` counts them from 1. A run that was not
    repeated is a side by itself: `side` is its label and `repeat` None.
    """

    label: str
    side: str
    repeat: int | None
    path: str
    backend: str
    """The backend that issued most of the communication time, from evidence in the traces."""
    backends_seen: tuple[str, ...]
    world_size: int
    missing_ranks: tuple[int, ...]
    gpus: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]
    """Pairs such as ("nccl", "2.28.9"), from the traces and, where there is one, run.json."""
    setup: Setup | None
    """None where there is no run.json."""
    ranks: tuple[RankReport, ...]
    operations: tuple[Operation, ...]
    buckets: tuple[Bucket, ...]
    stragglers: tuple[Straggler, ...]
    waits: tuple[RankWait, ...]
    spans: tuple[Span, ...]
    call_sites: tuple[CallSite, ...]
    clock: Clock
    timeline: Timeline | None
    coverage: Coverage
    steps: tuple[StepTime, ...]
    """Empty where no span looks like a step."""
    requests: tuple[StepTime, ...]
    perf_dumps: tuple[PerfDump, ...]
    """sglang's perf dumps in or beside the run's folder."""
    noise: tuple[Noise, ...]
    hta: HtaSection | None
    paired: tuple[PairedRow, ...] = ()
    """Empty without `traceana capture --paired`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """One operation at one size on both sides; `message_bytes` None compares the operation over all its calls.

    Times and statistics are of the steady state: the first step and the first call of each kind are left out and
    counted as warm-up. `speedup` is baseline over candidate, so above 1 the candidate is faster; `ci_low` and `ci_high`
    bound it at 95 % for this row alone; the p50s whose quotient it is are geometric means, over runs or else stretches
    of a run, of medians, and it is 0 without a time to divide by. `p_value` is against "equally fast", adjusted by Holm
    over all rows of the comparison. `basis` says what was compared: `transfer`, or `duration` where fewer than 90 %
    were matched across ranks. `verdict` is faster, slower, no difference, or cannot tell; then `reason` says why and
    `runs_needed` how many runs a side would settle it, where that can be estimated. `expected_low` and `expected_high`
    are the speed-ups that the guide expects at this size.
    """

    op: str
    message_bytes: int | None
    basis: str
    baseline_count: int
    candidate_count: int
    """Steady calls, per rank and summed over ranks and runs."""
    baseline_warm_up: int
    candidate_warm_up: int
    baseline_p50_ns: int
    candidate_p50_ns: int
    speedup: float
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    verdict: str
    reason: str | None
    runs_needed: int | None
    baseline_exposed_ns: int
    candidate_exposed_ns: int
    """Exposed time of these calls, waiting for peers left out where it is known: mean over ranks and runs, a step
    (`Comparison.worth_per`)."""
    worth_ns: int
    """Exposed time that the candidate saves, negative where it costs; 0 where compute covers the difference."""
    expected_low: float | None
    expected_high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepComparison:
    """One end-to-end time on both sides; fields as in ComparisonRow.

    `metric` is `step` or `request` (the time of one), `exposed` (exposed communication a step, waiting included; in the
    speed-up less than 1 % of a step counts as 1 %, and the p50s are plain medians),
    `perf request` (the whole request by sglang's perf dumps) or `perf step` (its denoising steps). `name` is the
    span's. Counts are of steady executions over all runs.
    """

    metric: str
    name: str
    baseline_count: int
    candidate_count: int
    baseline_p50_ns: int
    candidate_p50_ns: int
    speedup: float
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    verdict: str
    reason: str | None
    runs_needed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two sides, each of one or more runs; `baseline` and `candidate` are the sides' names.

    `reasons` say why a comparison is not fair, `noise` what makes its times unsteady. `rows` are ordered by the size
    of their worth, the largest first.
    """

    baseline: str
    candidate: str
    baseline_runs: tuple[str, ...]
    candidate_runs: tuple[str, ...]
    """Labels of the runs."""
    interval_basis: str
    """`repeats` (three or more a side: intervals tell what another run would bring) or `calls` (they do not)."""
    worth_per: str
    """`step`, or `run` where no steps are marked on both sides."""
    sentence: str
    """The verdict in a sentence or two."""
    comparable: bool
    reasons: tuple[str, ...]
    noise: tuple[str, ...]
    end_to_end: tuple[StepComparison, ...]
    rows: tuple[ComparisonRow, ...]
    only_baseline: tuple[str, ...]
    """Operations and sizes that only the baseline has, in words."""
    only_candidate: tuple[str, ...]

    @property
    def certain(self) -> tuple[ComparisonRow, ...]:
        """The rows that are faster or slower."""
        return tuple(row for row in self.rows if row.verdict in ("faster", "slower"))

    @property
    def certain_worth_ns(self) -> int:
        """What the certain differences save together; negative where they cost."""
        return sum(row.worth_ns for row in self.certain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that `analyze` found. `passed_over` names files that are no traces."""

    schema_version: int
    traceana_version: str
    runs: tuple[RunReport, ...]
    comparisons: tuple[Comparison, ...]
    passed_over: tuple[str, ...]
