"""Device time by user span (`denoise_step 3`, `UlyssesAttention`, `ProfilerStep#5`).

An activity belongs to the spans that were open on its thread when it was launched. Threads that open no span of
their own (autograd's) count to those open at that time on the thread that has the most spans.
"""

from dataclasses import dataclass

import numpy as np

from traceana.analyze.collectives import LaunchIndex
from traceana.trace.columns import HostRows, Ints, RankTrace


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanTimes:
    """One row an execution, in order of start: `name` indexes the trace's names, device times are sums in ns."""

    names: tuple[str, ...]
    start_ns: Ints
    end_ns: Ints
    comm_ns: Ints
    exposed_comm_ns: Ints
    compute_ns: Ints


def device_span_times(trace: RankTrace, comm_ns: Ints, exposed_ns: Ints, compute_ns: Ints) -> SpanTimes:
    """Attribute activities to spans by where they were launched; the values are given an activity."""
    launched = LaunchIndex(trace.launches).rows(trace.activities.correlation)
    known = np.flatnonzero(launched >= 0)
    at = trace.launches.start_ns[launched[known]]
    thread = trace.launches.thread[launched[known]]
    values = (comm_ns[known], exposed_ns[known], compute_ns[known])
    return _sum_by_span(trace, at, _home_threads(trace.spans, thread), values)


def host_span_times(trace: RankTrace, exposed_ns: Ints) -> SpanTimes:
    """The same for a trace without GPU: gloo's threads open no spans, so calls count by time."""
    rows = trace.host_collectives
    thread = _home_threads(trace.spans, rows.thread)
    duration = rows.end_ns - rows.start_ns
    return _sum_by_span(trace, rows.start_ns, thread, (duration, exposed_ns, np.zeros_like(duration)))


def _home_threads(spans: HostRows, thread: Ints) -> Ints:
    owners, counts = np.unique(spans.thread, return_counts=True)
    if not len(owners):
        return thread
    return np.where(np.isin(thread, owners), thread, owners[np.argmax(counts)])


def _sum_by_span(trace: RankTrace, at: Ints, thread: Ints, values: tuple[Ints, Ints, Ints]) -> SpanTimes:
    spans = trace.spans
    order = np.argsort(spans.start_ns, kind="stable")
    sums = np.zeros((3, len(order)), dtype=np.int64)
    for owner in np.unique(spans.thread):
        rows = np.flatnonzero(thread == owner)
        rows = rows[np.argsort(at[rows], kind="stable")]
        mine = np.flatnonzero(spans.thread[order] == owner)
        first = np.searchsorted(at[rows], spans.start_ns[order][mine], side="left")
        last = np.searchsorted(at[rows], spans.end_ns[order][mine], side="left")
        for line, value in zip(sums, values, strict=True):
            running = np.concatenate(([0], np.cumsum(value[rows])))
            line[mine] = running[last] - running[first]
    return SpanTimes(
        names=tuple(trace.names[key] for key in spans.key[order].tolist()),
        start_ns=spans.start_ns[order],
        end_ns=spans.end_ns[order],
        comm_ns=sums[0],
        exposed_comm_ns=sums[1],
        compute_ns=sums[2],
    )
