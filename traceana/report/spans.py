"""The program's own spans: stages, steps, requests."""

import msgspec

from traceana.report.causes import ExposedIs, IdleBy, UncoveredBy
from traceana.report.times import Distribution


class SpanInstance(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a user span, means over the ranks that have it. `duration_ns` is the host's."""

    name: str
    duration_ns: int
    comm_ns: int
    exposed_comm_ns: int
    compute_ns: int


class Span(msgspec.Struct, frozen=True, kw_only=True):
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


class StepTime(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of the run's step or request, in order.

    On a device it runs from the first start to the last end of the work launched in the span, on all streams, so
    without work launched before it; a step ends no later than the next one starts, and steps of a rank add up to at
    most its window. On a trace without a device, and where nothing was launched, it is the span itself. Where no span
    marks steps, a repetition of the sequence of collectives is one, named "step, by repetition".

    `duration_ns` is that of the rank where it was the longest. The other times are means over the ranks of what ran
    meanwhile, by union of intervals as in RankReport: communication that no compute covers, and compute.
    """

    name: str
    duration_ns: int
    exposed_comm_ns: int
    compute_ns: int
    warm_up: bool
    """The first one: connections are made and memory is allocated in it. Left out of every comparison."""
    cut_short: bool = False
    """Still open when the recording ended, and cut there. Left out of every comparison."""
    exposed_is: ExposedIs | None = None
    uncovered_by: UncoveredBy | None = None
    """What `exposed_comm_ns` was, and what left it uncovered; None where there is no GPU."""
    idle_ns: int | None = None
    idle_by: IdleBy | None = None
    overlap_price_ns: int | None = None
    """As RankReport's, mean over the ranks."""
    control_exposed_comm_ns: int = 0
    """What of `exposed_comm_ns` only control traffic was, as RankReport's."""

    @property
    def exposed_payload_ns(self) -> int:
        """Exposed communication without control traffic."""
        return self.exposed_comm_ns - self.control_exposed_comm_ns

    @property
    def steady(self) -> bool:
        """Whether it counts: neither warm-up nor cut short."""
        return not self.warm_up and not self.cut_short
