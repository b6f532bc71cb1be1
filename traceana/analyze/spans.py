"""Device time by user span (`denoise_step 3`, `UlyssesAttention`, `ProfilerStep#5`).

An activity belongs to the spans that were open on its thread when it was launched. Threads that open no span of
their own (autograd's) count to those open at that time on the thread that has the most spans.
"""

import msgspec
import numpy as np

from traceana.analyze.frames import home_threads
from traceana.analyze.intervals import Intervals, covered
from traceana.analyze.launches import Launches
from traceana.trace.columns import Bools, HostRows, Ints, RankTrace


class SpanTimes(msgspec.Struct, frozen=True, kw_only=True):
    """One row an execution, in order of start; start_ns and end_ns are the host's, device times are sums in ns.

    `device_start_ns` is the first start and `device_end_ns` the last end of what was launched inside, on all streams;
    both are the host's times where nothing was launched, and on a trace without a device. `cut_short` are spans that
    were open when the profiler stopped: they end there.
    """

    names: tuple[str, ...]
    start_ns: Ints
    end_ns: Ints
    cut_short: Bools
    device_start_ns: Ints
    device_end_ns: Ints
    comm_ns: Ints
    exposed_comm_ns: Ints
    compute_ns: Ints


class _Work(msgspec.Struct, frozen=True, kw_only=True):
    """What spans are to hold: when and on which thread it was launched, when it ran, and values to sum."""

    at_ns: Ints
    thread: Ints
    start_ns: Ints
    end_ns: Ints
    values: tuple[Ints, Ints, Ints]


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """For each span the sums of the values of its work, and from when to when the work ran."""

    sums: tuple[Ints, Ints, Ints]
    start_ns: Ints
    end_ns: Ints


def device_span_times(
    trace: RankTrace, launches: Launches, comm_ns: Ints, exposed_ns: Ints, compute_ns: Ints
) -> SpanTimes:
    """Attribute activities to spans by where they were launched; the values are given an activity."""
    known = np.flatnonzero(launches.row >= 0)
    launched = launches.row[known]
    spans = _in_order(trace.spans)
    work = _Work(
        at_ns=trace.launches.start_ns[launched],
        thread=home_threads(spans, trace.launches.thread[launched]),
        start_ns=trace.activities.start_ns[known],
        end_ns=trace.activities.end_ns[known],
        values=(comm_ns[known], exposed_ns[known], compute_ns[known]),
    )
    held = _held(spans, work)
    return _span_times(trace, spans, held, held.sums[2])


def host_span_times(trace: RankTrace, exposed_ns: Ints, compute: Intervals) -> SpanTimes:
    """The same for a trace without GPU: gloo's threads open no spans, so calls and `compute` count by time."""
    rows = trace.host_collectives
    duration = rows.end_ns - rows.start_ns
    spans = _in_order(trace.spans)
    work = _Work(
        at_ns=rows.start_ns,
        thread=home_threads(spans, rows.thread),
        start_ns=rows.start_ns,
        end_ns=rows.end_ns,
        values=(duration, exposed_ns, np.zeros_like(duration)),
    )
    held = _Held(sums=_held(spans, work).sums, start_ns=spans.start_ns, end_ns=_cut(trace, spans))
    return _span_times(trace, spans, held, covered(held.start_ns, held.end_ns, compute))


def _in_order(spans: HostRows) -> HostRows:
    order = np.argsort(spans.start_ns, kind="stable")
    return HostRows(
        start_ns=spans.start_ns[order], end_ns=spans.end_ns[order], thread=spans.thread[order], key=spans.key[order]
    )


def _span_times(trace: RankTrace, spans: HostRows, held: _Held, compute_ns: Ints) -> SpanTimes:
    end_ns = _cut(trace, spans)
    return SpanTimes(
        names=tuple(trace.names[key] for key in spans.key.tolist()),
        start_ns=spans.start_ns,
        end_ns=end_ns,
        cut_short=end_ns < spans.end_ns,
        device_start_ns=held.start_ns,
        device_end_ns=held.end_ns,
        comm_ns=held.sums[0],
        exposed_comm_ns=held.sums[1],
        compute_ns=compute_ns,
    )


def _cut(trace: RankTrace, spans: HostRows) -> Ints:
    """Ends of the spans: a span that is open when the profiler stops is closed while the trace is being written."""
    if trace.window_end_ns is None:
        return spans.end_ns
    return np.maximum(np.minimum(spans.end_ns, trace.window_end_ns), spans.start_ns)


def _held(spans: HostRows, work: _Work) -> _Held:
    device_start, device_end = spans.start_ns.copy(), spans.end_ns.copy()
    sums = np.zeros((3, len(spans.key)), dtype=np.int64)
    for owner in np.unique(spans.thread):
        rows = np.flatnonzero(work.thread == owner)
        rows = rows[np.argsort(work.at_ns[rows], kind="stable")]
        mine = np.flatnonzero(spans.thread == owner)
        first = np.searchsorted(work.at_ns[rows], spans.start_ns[mine], side="left")
        last = np.searchsorted(work.at_ns[rows], spans.end_ns[mine], side="left")
        for line, value in zip(sums, work.values, strict=True):
            running = np.concatenate(([0], np.cumsum(value[rows])))
            line[mine] = running[last] - running[first]
        some = last > first
        stretches = np.stack((first[some], last[some]), axis=1).ravel()
        device_start[mine[some]] = _of_stretches(np.minimum, work.start_ns[rows], stretches)
        device_end[mine[some]] = _of_stretches(np.maximum, work.end_ns[rows], stretches)
    return _Held(sums=(sums[0], sums[1], sums[2]), start_ns=device_start, end_ns=device_end)


def _of_stretches(what: np.ufunc, values: Ints, stretches: Ints) -> Ints:
    """`what` of values[first:last] for each pair of `stretches`, which may overlap; none is empty."""
    # The entry at the end lets a stretch reach to it; entries at odd places belong to what lies between stretches.
    found: Ints = what.reduceat(np.append(values, 0), stretches)[::2] if len(stretches) else stretches
    return found
