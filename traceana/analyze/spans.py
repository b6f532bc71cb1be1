"""Device time by user span (`denoise_step 3`, `UlyssesAttention`, `ProfilerStep#5`).

An activity belongs to the spans that were open on its thread when it was launched. Threads that open no span of
their own (autograd's) count to those open at that time on the thread that has the most spans.
"""

from dataclasses import dataclass

import numpy as np

from traceana.analyze.frames import home_threads
from traceana.analyze.launches import LaunchIndex
from traceana.trace.columns import Ints, RankTrace


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanTimes:
    """One row an execution, in order of start; start_ns and end_ns are the host's, device times are sums in ns.

    `device_start_ns` is the start of the first activity launched inside, `device_end_ns` the latest end; both are the
    host's times where nothing was launched.
    """

    names: tuple[str, ...]
    start_ns: Ints
    end_ns: Ints
    device_start_ns: Ints
    device_end_ns: Ints
    comm_ns: Ints
    exposed_comm_ns: Ints
    compute_ns: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What spans are to hold: when and on which thread it was launched, when it ran, and values to sum."""

    at_ns: Ints
    thread: Ints
    start_ns: Ints
    end_ns: Ints
    values: tuple[Ints, Ints, Ints]


def device_span_times(trace: RankTrace, comm_ns: Ints, exposed_ns: Ints, compute_ns: Ints) -> SpanTimes:
    """Attribute activities to spans by where they were launched; the values are given an activity."""
    launched = LaunchIndex(trace.launches).rows(trace.activities.correlation)
    known = np.flatnonzero(launched >= 0)
    work = _Work(
        at_ns=trace.launches.start_ns[launched[known]],
        thread=home_threads(trace.spans, trace.launches.thread[launched[known]]),
        start_ns=trace.activities.start_ns[known],
        end_ns=trace.activities.end_ns[known],
        values=(comm_ns[known], exposed_ns[known], compute_ns[known]),
    )
    return _sum_by_span(trace, work)


def host_span_times(trace: RankTrace, exposed_ns: Ints) -> SpanTimes:
    """The same for a trace without GPU: gloo's threads open no spans, so calls count by time."""
    rows = trace.host_collectives
    duration = rows.end_ns - rows.start_ns
    work = _Work(
        at_ns=rows.start_ns,
        thread=home_threads(trace.spans, rows.thread),
        start_ns=rows.start_ns,
        end_ns=rows.end_ns,
        values=(duration, exposed_ns, np.zeros_like(duration)),
    )
    return _sum_by_span(trace, work)


def _sum_by_span(trace: RankTrace, work: _Work) -> SpanTimes:
    spans = trace.spans
    order = np.argsort(spans.start_ns, kind="stable")
    begin, finish = spans.start_ns[order], spans.end_ns[order]
    device_start, device_end = begin.copy(), finish.copy()
    sums = np.zeros((3, len(order)), dtype=np.int64)
    for owner in np.unique(spans.thread):
        rows = np.flatnonzero(work.thread == owner)
        rows = rows[np.argsort(work.at_ns[rows], kind="stable")]
        mine = np.flatnonzero(spans.thread[order] == owner)
        first = np.searchsorted(work.at_ns[rows], begin[mine], side="left")
        last = np.searchsorted(work.at_ns[rows], finish[mine], side="left")
        for line, value in zip(sums, work.values, strict=True):
            running = np.concatenate(([0], np.cumsum(value[rows])))
            line[mine] = running[last] - running[first]
        some = last > first
        device_start[mine[some]] = work.start_ns[rows][first[some]]
        # Work of one thread ends about in the order of its launch, so the running latest end is that of the span.
        device_end[mine[some]] = np.maximum.accumulate(work.end_ns[rows])[last[some] - 1]
    return SpanTimes(
        names=tuple(trace.names[key] for key in spans.key[order].tolist()),
        start_ns=begin,
        end_ns=finish,
        device_start_ns=device_start,
        device_end_ns=device_end,
        comm_ns=sums[0],
        exposed_comm_ns=sums[1],
        compute_ns=sums[2],
    )
