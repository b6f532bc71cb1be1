"""Calls by operation: where the time goes, and how the durations spread."""

from dataclasses import dataclass

from traceana import units
from traceana.render.runs import RunMark, run_marks, shorten
from traceana.render.scales import Axis, LinearScale, LogScale, linear_scale, log_axis, log_scale, time_axis
from traceana.report import Operation, Report

LABEL_LIMIT = 14
BAR_HEIGHT = 16
LANES = 10
"""Histogram lanes per operation; the calls that take least time are left to the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBar:
    """An operation's time on a mean rank of a run, by backend: the exposed part, then the covered one."""

    run: RunMark
    op: str
    y: int
    exposed: float
    covered: float
    label: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpLabel:
    """The name of an operation beside its bars."""

    op: str
    text: str
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeByOp:
    """All operations of all runs on one axis."""

    axis: Axis
    bars: tuple[TimeBar, ...]
    labels: tuple[OpLabel, ...]
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One bar of a histogram; `height` in percent of the tallest of its lane."""

    at: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The durations of one row of the operations table."""

    run: RunMark
    text: str
    bins: tuple[Bin, ...]
    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One operation's lanes on a common axis; `left_out` lanes are in the table only."""

    op: str
    axis: Axis
    lanes: tuple[Lane, ...]
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRow:
    """A row of the operations table."""

    run: RunMark
    data: Operation


def operation_rows(report: Report) -> tuple[OperationRow, ...]:
    """All operations of all runs, those that take most time first."""
    rows = [OperationRow(run=mark, data=operation) for mark, operation, _ in _operations(report)]
    return tuple(sorted(rows, key=lambda row: -row.data.duration_ns.sum))


def _operations(report: Report) -> list[tuple[RunMark, Operation, int]]:
    """Every operation with its run and the number of ranks that were read."""
    return [
        (mark, operation, max(1, len(run.ranks)))
        for mark, run in zip(run_marks(report), report.runs, strict=True)
        for operation in run.operations
    ]


def time_by_op(report: Report) -> TimeByOp:
    """Time in calls on a mean rank, sizes taken together, one bar per run and backend."""
    sums: dict[tuple[str, RunMark, str], list[float]] = {}
    for mark, operation, ranks in _operations(report):
        entry = sums.setdefault((operation.op, mark, operation.backend), [0.0, 0.0])
        entry[0] += operation.duration_ns.sum / ranks
        entry[1] += operation.exposed_ns / ranks
    totals: dict[str, float] = {}
    for (op, _, _), (time, _) in sums.items():
        totals[op] = totals.get(op, 0) + time
    scale = linear_scale(max((time for time, _ in sums.values()), default=1))
    bars: list[TimeBar] = []
    labels: list[OpLabel] = []
    y = 0
    for op in sorted(totals, key=lambda op: -totals[op]):
        group = [(key, entry) for key, entry in sums.items() if key[0] == op]
        labels.append(OpLabel(op=op, text=shorten(op, LABEL_LIMIT), y=y + len(group) * (BAR_HEIGHT + 2) / 2 - 1))
        for (_, mark, backend), (time, exposed) in group:
            bars.append(_time_bar(mark, op, backend, time, exposed, y, scale))
            y += BAR_HEIGHT + 2
        y += 12
    axis = time_axis(scale, "time in calls on a mean rank")
    return TimeByOp(axis=axis, bars=tuple(bars), labels=tuple(labels), height=max(y - 12, 0))


def _time_bar(mark: RunMark, op: str, backend: str, time: float, exposed: float, y: int, scale: LinearScale) -> TimeBar:
    return TimeBar(
        run=mark,
        op=op,
        y=y,
        exposed=scale.at(exposed),
        covered=scale.at(max(0.0, time - exposed)),
        label=units.duration(time),
        title=f"{mark.label}, {op} by {backend}: {units.duration(time)} a rank, "
        f"{units.duration(exposed)} of it exposed",
    )


def spreads(report: Report) -> tuple[Spread, ...]:
    """A set of histograms per operation, a lane per run and size."""
    by_op: dict[str, list[tuple[RunMark, Operation]]] = {}
    for mark, operation, _ in _operations(report):
        by_op.setdefault(operation.op, []).append((mark, operation))
    order = sorted(by_op, key=lambda op: -sum(operation.duration_ns.sum for _, operation in by_op[op]))
    return tuple(_spread(op, by_op[op]) for op in order)


def _spread(op: str, calls: list[tuple[RunMark, Operation]]) -> Spread:
    kept = sorted(calls, key=lambda call: -call[1].duration_ns.sum)[:LANES]
    kept.sort(key=lambda call: (call[1].message_bytes is None, -(call[1].message_bytes or 0), call[0].colour))
    scale = log_scale(edge for _, operation in kept for edge in _filled_edges(operation))
    return Spread(
        op=op,
        axis=log_axis(scale, "duration, waiting included", units.duration_tick, most=5),
        lanes=tuple(_lane(mark, operation, scale) for mark, operation in kept),
        left_out=len(calls) - len(kept),
    )


def _filled_edges(operation: Operation) -> list[int]:
    """The edges around bins that hold calls: an axis has no use for empty bins at its ends."""
    histogram = operation.histogram
    filled = [index for index, count in enumerate(histogram.counts) if count]
    return [histogram.edges_ns[filled[0]], histogram.edges_ns[filled[-1] + 1]] if filled else []


def _lane(mark: RunMark, operation: Operation, scale: LogScale) -> Lane:
    histogram, times = operation.histogram, operation.duration_ns
    tallest = max(histogram.counts, default=0) or 1
    bins = []
    for index, calls in enumerate(histogram.counts):
        low, high = histogram.edges_ns[index], histogram.edges_ns[index + 1]
        if calls:
            title = f"{units.plural(calls, 'call')} of {units.duration(low)} to {units.duration(high)}"
            at = scale.at(low)
            bins.append(Bin(at=at, width=scale.at(high) - at, height=100 * calls / tallest, title=title))
    size = units.size(operation.message_bytes) if operation.message_bytes is not None else "size unknown"
    details = " ".join(filter(None, (operation.dtype, operation.library)))
    return Lane(
        run=mark,
        text=f"{size}, {details}, {units.plural(operation.count, 'call')}: p50 {units.duration(times.p50)}, "
        f"p95 {units.duration(times.p95)}",
        bins=tuple(bins),
        p50=scale.at(times.p50),
        p95=scale.at(times.p95),
    )
