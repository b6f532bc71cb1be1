"""Calls by kind, by size and by the place that issued them."""

import msgspec

from traceana.report.causes import ExposedIs, UncoveredBy
from traceana.report.layers import LayerCalls
from traceana.report.times import Distribution, Histogram


class SteadyCalls(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of an Operation or Bucket without warm-up (the first step, the first call of a kind, and their peers).

    The same calls as a comparison's. `wait_ns` and `transfer_ns` cover matched calls only; `busbw_gbps` is at the
    median transfer, or at the median duration where none is matched; None where the size is not known.
    """

    count: int
    duration_ns: Distribution
    transfer_ns: Distribution | None
    wait_ns: Distribution | None
    busbw_gbps: float | None


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """All calls of one kind, warm-up too: same operation, dtype, message size, group size, backend and library.

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
    members: int = 1
    """Calls that one kernel carries, such as all of a `batch_isend_irecv`; `message_bytes` is their sum."""
    exposed_is: ExposedIs | None = None
    uncovered_by: UncoveredBy | None = None
    """What `exposed_ns` was, and what left it uncovered; None where there is no GPU."""
    steady: SteadyCalls | None = None
    """None where all calls are warm-up."""
    layers: tuple[LayerCalls, ...] = ()
    """By the modules that issued the calls, as far as the trace tells; calls of no known module are in none."""
    axes: tuple[str, ...] = ()
    """Parallel axes of the calls' groups, such as TP; those that groups' descriptions do not tell are left out."""


class HostCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one kind that ran on the host (gloo) in a trace whose other numbers are the GPU's; times are the host's.

    They are in no other figure of the run.
    """

    op: str
    dtype: str | None
    message_bytes: int | None
    group_size: int | None
    count: int
    duration_ns: Distribution


class BytesByRank(msgspec.Struct, frozen=True, kw_only=True):
    """What the ranks of a group sent, or received, in all; `imbalance` is the most over the mean."""

    by_rank: tuple[int, ...]
    least: int
    most: int
    imbalance: float | None
    """None where nothing was sent."""


class UnevenSizes(msgspec.Struct, frozen=True, kw_only=True):
    """Matched collectives of one process group whose sizes differ by rank, as all_to_allv's do.

    `sent` and `received` are None where a rank's bytes are not told. `matrix` holds the bytes from each of `ranks`, a
    row, to each, a column; it is None where the trace does not tell how calls are split.
    """

    op: str
    group_name: str | None
    ranks: tuple[int, ...]
    collectives: int
    sent: BytesByRank | None
    received: BytesByRank | None
    matrix: tuple[tuple[int, ...], ...] | None
    busbw_gbps: float | None
    """By the largest message that a rank has in each collective, at the median; None where waits are not known."""


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one operation whose message size falls in [lower_bytes, upper_bytes).

    `scheme` is `guide` (by the edges of `--buckets`) or `powers` (powers of two).
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
    steady: SteadyCalls | None = None
    """The same without warm-up, busbw as the median over calls; None where all calls are warm-up."""


class CallSite(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of one operation and size that one place in the program issued, over all ranks.

    `site` is the innermost user span or, in a trace with Python stacks, `nn.Module` that was open when the call was
    launched, without its number; None where nothing was open. `p50_ns` and `sum_ns` are durations, waiting included;
    `transfer_p50_ns` is that of matched collectives, each by its slowest rank, as in a comparison. Medians are of
    steady calls, or of all where all are warm-up; counts and sums are of all.
    """

    site: str | None
    op: str
    message_bytes: int | None
    count: int
    p50_ns: int
    transfer_p50_ns: int | None
    sum_ns: int
    exposed_ns: int
