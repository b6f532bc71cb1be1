"""Ranks: how each spent its window, whom it waited for, what it drew on the timeline."""

import msgspec

from traceana.report.causes import ExposedIs, HostPlace, IdleBy, UncoveredBy


class RankReport(msgspec.Struct, frozen=True, kw_only=True):
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
    overlap_price_ns: int | None = None
    """By how much longer compute took because communication ran beside it; None where the run's price is not certain,
    which counts only kernels that can be compared."""
    exposed_is: ExposedIs | None = None
    uncovered_by: UncoveredBy | None = None
    idle_by: IdleBy | None = None
    """Causes are None where there is no GPU."""
    host_behind_in: tuple[HostPlace, ...] = ()
    """Together `idle_by.host_behind_ns`: the ten places with the most of it, the largest first, then the rest."""
    control_comm_ns: int = 0
    control_exposed_comm_ns: int = 0
    """What of comm_ns and of exposed_comm_ns only control traffic was: calls of at most 16 bytes on the host, as of a
    scheduler that waits for work. 0 where the numbers are the GPU's, and where there is no other communication."""

    @property
    def exposed_payload_ns(self) -> int:
        """Exposed communication without control traffic."""
        return self.exposed_comm_ns - self.control_exposed_comm_ns


class Straggler(msgspec.Struct, frozen=True, kw_only=True):
    """How often a rank was the last to arrive, and how long all its peers together waited for it then.

    Over all matched calls; what warm-up had of it stands beside, so that the rest is the steady state.
    """

    rank: int
    times_last: int
    wait_caused_ns: int
    warm_up_times_last: int = 0
    warm_up_wait_caused_ns: int = 0

    @property
    def steady_times_last(self) -> int:
        """Without warm-up."""
        return self.times_last - self.warm_up_times_last

    @property
    def steady_wait_caused_ns(self) -> int:
        """Without warm-up."""
        return self.wait_caused_ns - self.warm_up_wait_caused_ns


class RankWait(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of the wait matrix: the time that `rank` spent waiting for its peers inside `op`.

    Over all matched calls; what warm-up had of it stands beside, so that the rest is the steady state.
    """

    rank: int
    op: str
    calls: int
    wait_ns: int
    warm_up_calls: int = 0
    warm_up_wait_ns: int = 0

    @property
    def steady_calls(self) -> int:
        """Without warm-up."""
        return self.calls - self.warm_up_calls

    @property
    def steady_wait_ns(self) -> int:
        """Without warm-up."""
        return self.wait_ns - self.warm_up_wait_ns


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """Clocks of the ranks against the lowest rank's.

    `method` is `shared` (one host, nothing estimated), `collectives` (offsets estimated from the ends of matched
    collectives) or `unknown` (no matched collective to estimate from). Skew below `residual_ns` means nothing: on a
    shared clock it is the median absolute difference of the ends, else a bound of the offsets' error that holds in 95
    of 100 runs.
    """

    method: str
    residual_ns: int | None
    drift_ppm: float = 0.0
    """How far the rates of the fastest and the slowest clock are apart; offsets hold in the run's middle."""


class TimelineSlice(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of one rank's device on the timeline strip; `kind` is compute, comm, overlapped or memory."""

    start_ns: int
    end_ns: int
    kind: str


class TimelineCall(msgspec.Struct, frozen=True, kw_only=True):
    """A collective call on the strip; `wait_ns` and `transfer_ns` are None where it was not matched across ranks."""

    start_ns: int
    end_ns: int
    op: str
    message_bytes: int | None
    group_size: int | None
    wait_ns: int | None
    transfer_ns: int | None


class TimelineRow(msgspec.Struct, frozen=True, kw_only=True):
    """One rank's slices, ordered and not overlapping, and its longest calls in order of start."""

    rank: int
    slices: tuple[TimelineSlice, ...]
    calls: tuple[TimelineCall, ...] = ()


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """One step of all ranks on a common clock; times are relative to the strip's start."""

    title: str
    duration_ns: int
    rows: tuple[TimelineRow, ...]
    start_ns: int | None = None
    """The strip's start on the common clock."""
    choice: str = "middle"
    """What the step was chosen for: middle (of the run's steps in their order), slowest or fastest (of the steady
    ones); window, where there is no step."""
