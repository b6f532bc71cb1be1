"""The program's own spans: stages, steps, requests."""

from dataclasses import dataclass

from traceana.report.times import Distribution


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
