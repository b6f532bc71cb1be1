"""A bench's charts: time and busbw over message size, a line a backend, crossovers and the link's peak marked."""

from collections.abc import Sequence

import msgspec

from traceana import units
from traceana.render.page.marks import RunMark
from traceana.render.page.scales import Axis, LogScale, log_axis, log_scale, outline
from traceana.render.text.bench import crossover
from traceana.report.bench import BenchReport, BenchRow, Crossover, Peak


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One size; places in percent, `y` from the top."""

    at: float
    y: float
    title: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A backend's points in the order of their size; dashed where they are a CUDA graph's."""

    mark: RunMark
    graph: bool
    outline: str
    points: tuple[Point, ...]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Where another backend becomes the fastest, `at` with its interval, in percent of the chart's width."""

    at: float
    low: float
    high: float
    graph: bool
    title: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Time or busbw of one operation; `peak` is the link's place from the top, None where it is not drawn."""

    title: str
    size_axis: Axis
    value_axis: Axis
    lines: tuple[Line, ...]
    changes: tuple[Change, ...]
    peak: float | None
    peak_title: str


class OperationCharts(msgspec.Struct, frozen=True, kw_only=True):
    """Both charts of one operation."""

    op: str
    time: Chart
    busbw: Chart


def operation_charts(report: BenchReport, marks: dict[str, RunMark]) -> tuple[OperationCharts, ...]:
    """One a operation with two sizes or more, in the bench's order; all share their axes."""
    rows = [row for row in report.rows if row.busbw_gbps > 0]
    ops = dict.fromkeys(row.op for row in rows)
    found = []
    for op in ops:
        of_op = [row for row in rows if row.op == op]
        if len({row.message_bytes for row in of_op}) > 1:
            changes = [one for one in report.crossovers if one.op == op]
            found.append(
                OperationCharts(
                    op=op,
                    time=_time_chart(of_op, changes, rows, marks),
                    busbw=_busbw_chart(of_op, changes, rows, marks, report.peak),
                )
            )
    return tuple(found)


def _time_chart(
    of_op: Sequence[BenchRow], changes: Sequence[Crossover], rows: Sequence[BenchRow], marks: dict[str, RunMark]
) -> Chart:
    sizes, values = _sizes(rows), log_scale(row.p50_ns for row in rows)
    return Chart(
        title="time of a call, p50",
        size_axis=_size_axis(sizes),
        value_axis=log_axis(values, "time", units.duration_tick, most=6),
        lines=_lines(of_op, marks, sizes, values, [row.p50_ns for row in of_op]),
        changes=tuple(_change(one, sizes) for one in changes),
        peak=None,
        peak_title="",
    )


def _busbw_chart(
    of_op: Sequence[BenchRow],
    changes: Sequence[Crossover],
    rows: Sequence[BenchRow],
    marks: dict[str, RunMark],
    peak: Peak | None,
) -> Chart:
    sizes = _sizes(rows)
    values = log_scale([*(row.busbw_gbps for row in rows), *([peak.gbps] if peak else [])])
    return Chart(
        title="bus bandwidth",
        size_axis=_size_axis(sizes),
        value_axis=log_axis(values, "busbw (GB/s)", units.tick, most=6),
        lines=_lines(of_op, marks, sizes, values, [row.busbw_gbps for row in of_op]),
        changes=tuple(_change(one, sizes) for one in changes),
        peak=100 - values.at(peak.gbps) if peak else None,
        peak_title=f"{peak.link} carries {units.bandwidth(peak.gbps)} at most ({peak.source})" if peak else "",
    )


def _sizes(rows: Sequence[BenchRow]) -> LogScale:
    return log_scale((row.message_bytes for row in rows), base=2)


def _size_axis(sizes: LogScale) -> Axis:
    return log_axis(sizes, "message size", units.size, base=2, most=6)


def _lines(
    rows: Sequence[BenchRow], marks: dict[str, RunMark], sizes: LogScale, scale: LogScale, values: Sequence[float]
) -> tuple[Line, ...]:
    by_variant: dict[tuple[str, bool], list[tuple[BenchRow, float]]] = {}
    for row, value in zip(rows, values, strict=True):
        by_variant.setdefault((row.backend, row.graph), []).append((row, value))
    lines = []
    for (backend, graph), of_variant in by_variant.items():
        ordered = sorted(of_variant, key=lambda one: one[0].message_bytes)
        points = tuple(
            Point(at=sizes.at(row.message_bytes), y=100 - scale.at(value), title=_title(row)) for row, value in ordered
        )
        line = outline((point.at, point.y) for point in points)
        lines.append(Line(mark=marks[backend], graph=graph, outline=line, points=points))
    return tuple(lines)


def _title(row: BenchRow) -> str:
    graph = " in a graph" if row.graph else ""
    return (
        f"{row.backend}{graph}, {row.op} of {units.size(row.message_bytes)}: p50 {units.duration(row.p50_ns)}, "
        f"p99 {units.duration(row.p99_ns)}, busbw {units.bandwidth(row.busbw_gbps)}"
    )


def _change(one: Crossover, sizes: LogScale) -> Change:
    low, high = sizes.at(one.low_bytes), sizes.at(one.high_bytes)
    return Change(at=sizes.at(one.at_bytes), low=low, high=high, graph=one.graph, title=crossover(one))
