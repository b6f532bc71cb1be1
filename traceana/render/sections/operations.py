"""Calls by operation: where the time goes, and how the durations spread."""

import msgspec

from traceana import units
from traceana.render.page.marks import RunMark, marked_runs, shorten
from traceana.render.page.scales import Axis, LinearScale, LogScale, linear_scale, log_axis, log_scale, time_axis
from traceana.render.page.section import Section
from traceana.render.page.stack import stack
from traceana.report import Operation, Report

LABEL_LIMIT = 14
BAR_HEIGHT = 16
LANES = 10
"""Histogram lanes per operation; the calls that take least time are left to the table."""


class OpTime(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend's calls of one operation take on a mean rank of a run, and how much of it is exposed."""

    run: RunMark
    op: str
    backend: str
    ns: float
    exposed_ns: float


class TimeBar(msgspec.Struct, frozen=True, kw_only=True):
    """An OpTime as it is drawn: the exposed part, then the covered one, in percent of the axis; `y` in pixels."""

    run: RunMark
    op: str
    y: int
    exposed: float
    covered: float
    label: str
    title: str


class OpLabel(msgspec.Struct, frozen=True, kw_only=True):
    """The name of an operation beside its bars, `y` pixels from the top."""

    op: str
    text: str
    y: float


class TimeByOp(msgspec.Struct, frozen=True, kw_only=True):
    """All operations of all runs on one axis, `height` in pixels."""

    axis: Axis
    bars: tuple[TimeBar, ...]
    labels: tuple[OpLabel, ...]
    height: int


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """One bar of a histogram, in percent: `at` and `width` of the axis, `height` of the tallest of its lane."""

    at: float
    width: float
    height: float
    title: str


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """The durations of one row of the operations table; places of `p50` and `p95` in percent of the axis."""

    run: RunMark
    text: str
    bins: tuple[Bin, ...]
    p50: float
    p95: float


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """One operation's lanes on a common axis; `left_out` lanes are in the table only."""

    op: str
    axis: Axis
    lanes: tuple[Lane, ...]
    left_out: int


def _operations(report: Report) -> list[tuple[RunMark, Operation, int]]:
    """Every operation with its run and the number of ranks that were read."""
    return [
        (mark, operation, max(1, len(run.ranks))) for mark, run in marked_runs(report) for operation in run.operations
    ]


def time_by_op(report: Report) -> TimeByOp:
    """Time in calls on a mean rank, sizes taken together, one bar per run and backend."""
    by_op = _times_by_op(report)
    scale = linear_scale(max((time.ns for times in by_op.values() for time in times), default=1))
    placed = stack(by_op.values(), bar=BAR_HEIGHT, gap=12)
    return TimeByOp(
        axis=time_axis(scale, "time in calls on a mean rank"),
        bars=tuple(_time_bar(time, y, scale) for group in placed.groups for y, time in group.rows),
        labels=tuple(
            OpLabel(op=op, text=shorten(op, LABEL_LIMIT), y=group.middle)
            for op, group in zip(by_op, placed.groups, strict=True)
        ),
        height=placed.height,
    )


def _times_by_op(report: Report) -> dict[str, list[OpTime]]:
    """The operation that takes most time first."""
    sums: dict[tuple[str, RunMark, str], tuple[float, float]] = {}
    for mark, operation, ranks in _operations(report):
        key = (operation.op, mark, operation.backend)
        ns, exposed_ns = sums.get(key, (0.0, 0.0))
        sums[key] = (ns + operation.duration_ns.sum / ranks, exposed_ns + operation.exposed_ns / ranks)
    by_op: dict[str, list[OpTime]] = {}
    for (op, mark, backend), (ns, exposed_ns) in sums.items():
        by_op.setdefault(op, []).append(OpTime(run=mark, op=op, backend=backend, ns=ns, exposed_ns=exposed_ns))
    return dict(sorted(by_op.items(), key=lambda item: -sum(time.ns for time in item[1])))


def _time_bar(time: OpTime, y: int, scale: LinearScale) -> TimeBar:
    return TimeBar(
        run=time.run,
        op=time.op,
        y=y,
        exposed=scale.at(time.exposed_ns),
        covered=scale.at(max(0.0, time.ns - time.exposed_ns)),
        label=units.duration(time.ns),
        title=f"{time.run.label}, {time.op} by {time.backend}: {units.duration(time.ns)} a rank, "
        f"{units.duration(time.exposed_ns)} of it exposed",
    )


def spreads(report: Report) -> tuple[Spread, ...]:
    """A set of histograms per operation, a lane per run and size."""
    by_op: dict[str, list[tuple[RunMark, Operation]]] = {}
    for mark, operation, _ in _operations(report):
        by_op.setdefault(operation.op, []).append((mark, operation))
    order = sorted(by_op, key=lambda op: -sum(operation.duration_ns.sum for _, operation in by_op[op]))
    return tuple(_spread(op, by_op[op]) for op in order)


def _spread(op: str, calls: list[tuple[RunMark, Operation]]) -> Spread:
    longest = sorted(enumerate(calls), key=lambda call: -call[1][1].duration_ns.sum)[:LANES]
    kept = [call for _, call in sorted(longest, key=lambda place: (_by_size(place[1][1]), place[0]))]
    scale = log_scale(edge for _, operation in kept for edge in _filled_edges(operation))
    return Spread(
        op=op,
        axis=log_axis(scale, "duration, waiting included", units.duration_tick, most=5),
        lanes=tuple(_lane(mark, operation, scale) for mark, operation in kept),
        left_out=len(calls) - len(kept),
    )


def _by_size(operation: Operation) -> tuple[bool, int]:
    """The largest messages first, calls of unknown size last."""
    return operation.message_bytes is None, -(operation.message_bytes or 0)


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


class Operations(msgspec.Struct, frozen=True, kw_only=True):
    """The section's two charts."""

    time_by_op: TimeByOp
    spreads: tuple[Spread, ...]


def _operations_view(report: Report) -> Operations:
    return Operations(time_by_op=time_by_op(report), spreads=spreads(report))


SECTION = Section(name="operations", title="Operations", view=_operations_view)
