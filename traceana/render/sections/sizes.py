"""How time and bandwidth depend on the message size: p50 to p95 by bucket, and busbw."""

from itertools import groupby

import msgspec

from traceana import units
from traceana.render.page.marks import RunMark, marked_runs, shorten
from traceana.render.page.scales import Axis, LogScale, log_axis, log_scale, outline
from traceana.render.page.section import Section
from traceana.report import Bucket, Distribution, Operation, Report

HEADING_HEIGHT = 26
ROW_HEIGHT = 15
"""Pixels from an operation's name to its first bucket, and between two runs of one bucket."""
LABEL_LIMIT = 14


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket of one run: a marker at `p50` and a line to `p95`, in percent of the axis, `y` pixels from the top."""

    run: RunMark
    op: str
    y: int
    p50: float
    p95: float
    title: str


class RangeLabel(msgspec.Struct, frozen=True, kw_only=True):
    """An operation's name or a bucket's bounds beside its rows, `y` pixels from the top."""

    text: str
    y: float
    heading: bool


class Ranges(msgspec.Struct, frozen=True, kw_only=True):
    """The chart of all buckets, `height` in pixels; empty where no operation has two sizes."""

    axis: Axis
    ranges: tuple[Range, ...]
    labels: tuple[RangeLabel, ...]
    height: int


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One operation at one size; places in percent, `y` from the top."""

    at: float
    y: float
    title: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A run's points in the order of their size, and the line through them."""

    run: RunMark
    outline: str
    points: tuple[Point, ...]


class BandwidthChart(msgspec.Struct, frozen=True, kw_only=True):
    """busbw of one operation over message size; all operations share both axes."""

    op: str
    size_axis: Axis
    bandwidth_axis: Axis
    lines: tuple[Line, ...]


class BucketRow(msgspec.Struct, frozen=True, kw_only=True):
    """One of the guide's buckets, in the table; `times` are of its steady calls, or of all where none is steady."""

    run: RunMark
    data: Bucket
    times: Distribution
    busbw_gbps: float | None


def bucket_rows(report: Report) -> tuple[BucketRow, ...]:
    """The guide's buckets of all runs, backends side by side."""
    rows = _buckets(report, "guide")
    return tuple(
        BucketRow(run=mark, data=bucket, times=_times(bucket), busbw_gbps=_busbw(bucket)) for mark, bucket in rows
    )


def _times(bucket: Bucket) -> Distribution:
    """Durations of the steady calls, or of all where none is steady."""
    if bucket.steady:
        return bucket.steady.duration_ns
    p50, p95, p99 = bucket.p50_ns, bucket.p95_ns, bucket.p99_ns
    return Distribution(min=p50, p50=p50, p95=p95, p99=p99, max=p99, sum=bucket.sum_ns)


def _busbw(calls: Bucket | Operation) -> float | None:
    return calls.steady.busbw_gbps if calls.steady else calls.busbw_gbps


def ranges(report: Report) -> Ranges:
    """Power-of-two buckets by operation and size, the runs of one bucket under each other.

    Of operations with several sizes: one size makes no plot over size.
    """
    every = _buckets(report, "powers")
    found = {(bucket.op, bucket.lower_bytes) for _, bucket in every}
    rows = [row for row in every if sum(op == row[1].op for op, _ in found) > 1]
    scale = log_scale(time for _, bucket in rows for time in (_times(bucket).p50, _times(bucket).p95))
    drawn: list[Range] = []
    labels: list[RangeLabel] = []
    y = 0
    for op, of_op in groupby(rows, key=lambda row: row[1].op):
        labels.append(RangeLabel(text=shorten(op, LABEL_LIMIT), y=y + 8, heading=True))
        y += HEADING_HEIGHT
        for bounds, in_bucket in groupby(of_op, key=lambda row: (row[1].lower_bytes, row[1].upper_bytes)):
            labels.append(RangeLabel(text=units.size_range(*bounds), y=y, heading=False))
            for mark, bucket in in_bucket:
                drawn.append(_range(mark, bucket, y, scale))
                y += ROW_HEIGHT
            y += 4
    return Ranges(
        axis=log_axis(scale, "duration of a call, waiting included", units.duration_tick),
        ranges=tuple(drawn),
        labels=tuple(labels),
        height=y,
    )


def _buckets(report: Report, scheme: str) -> list[tuple[RunMark, Bucket]]:
    """The buckets of one scheme, operation by operation (the one that takes longest first), then by size."""
    pairs = [
        (mark, bucket)
        for mark, run in marked_runs(report)
        for bucket in run.buckets
        if bucket.scheme == scheme and bucket.count
    ]
    totals: dict[str, int] = {}
    for _, bucket in pairs:
        totals[bucket.op] = totals.get(bucket.op, 0) + bucket.sum_ns
    return sorted(pairs, key=lambda pair: (-totals[pair[1].op], pair[1].op, pair[1].lower_bytes))


def _range(mark: RunMark, bucket: Bucket, y: int, scale: LogScale) -> Range:
    bounds, times = units.size_range(bucket.lower_bytes, bucket.upper_bytes), _times(bucket)
    count = bucket.steady.count if bucket.steady else bucket.count
    return Range(
        run=mark,
        op=bucket.op,
        y=y,
        p50=scale.at(times.p50),
        p95=scale.at(times.p95),
        title=f"{mark.label}, {bucket.op}, {bounds}: p50 {units.duration(times.p50)}, "
        f"p95 {units.duration(times.p95)}, {units.plural(count, 'call')}",
    )


def bandwidth_charts(report: Report) -> tuple[BandwidthChart, ...]:
    """One chart per operation that has two sizes or more, largest transfer volume first."""
    sized = [
        (mark, operation)
        for mark, run in marked_runs(report)
        for operation in run.operations
        if operation.message_bytes and _busbw(operation)
    ]
    several: dict[str, set[int | None]] = {}
    for _, operation in sized:
        several.setdefault(operation.op, set()).add(operation.message_bytes)
    sized = [pair for pair in sized if len(several[pair[1].op]) > 1]
    sizes = log_scale((operation.message_bytes or 0 for _, operation in sized), base=2)
    bandwidths = log_scale(_busbw(operation) or 0 for _, operation in sized)
    volume: dict[str, int] = {}
    for _, operation in sized:
        volume[operation.op] = volume.get(operation.op, 0) + operation.count * (operation.message_bytes or 0)
    return tuple(
        BandwidthChart(
            op=op,
            size_axis=log_axis(sizes, "message size", units.size, base=2, most=4),
            bandwidth_axis=log_axis(bandwidths, "busbw (GB/s)", units.tick, most=6),
            lines=_lines([pair for pair in sized if pair[1].op == op], sizes, bandwidths),
        )
        for op in sorted(volume, key=lambda op: -volume[op])
    )


def _lines(sized: list[tuple[RunMark, Operation]], sizes: LogScale, bandwidths: LogScale) -> tuple[Line, ...]:
    by_run: dict[RunMark, list[Operation]] = {}
    for mark, operation in sized:
        by_run.setdefault(mark, []).append(operation)
    return tuple(_line(mark, operations, sizes, bandwidths) for mark, operations in by_run.items())


def _line(mark: RunMark, operations: list[Operation], sizes: LogScale, bandwidths: LogScale) -> Line:
    by_size = sorted(operations, key=lambda operation: operation.message_bytes or 0)
    points = tuple(_point(mark, operation, sizes, bandwidths) for operation in by_size)
    return Line(run=mark, outline=outline((point.at, point.y) for point in points), points=points)


def _point(mark: RunMark, operation: Operation, sizes: LogScale, bandwidths: LogScale) -> Point:
    basis = operation.bandwidth_basis or "duration"
    return Point(
        at=sizes.at(operation.message_bytes or 0),
        y=100 - bandwidths.at(_busbw(operation) or 0),
        title=f"{mark.label}, {operation.op} of {units.size(operation.message_bytes)} {operation.dtype or ''}: "
        f"busbw {units.bandwidth(_busbw(operation))} at the median {basis}",
    )


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """The section's charts and table."""

    ranges: Ranges
    bandwidth_charts: tuple[BandwidthChart, ...]
    bucket_rows: tuple[BucketRow, ...]


def _sizes(report: Report) -> Sizes:
    return Sizes(ranges=ranges(report), bandwidth_charts=bandwidth_charts(report), bucket_rows=bucket_rows(report))


SECTION = Section(name="sizes", title="Message sizes", view=_sizes)
