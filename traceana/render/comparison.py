"""The comparison of two runs as a table with a small interval plot per row."""

from dataclasses import dataclass

from traceana import units
from traceana.render.runs import RunMark, marks_by_label
from traceana.render.scales import Axis, LogScale, log_axis, log_scale
from traceana.report import Comparison, ComparisonRow, Report

FURTHEST = 3.9
"""With this as the largest value, no plot ends beyond the next power of two, 4×; what lies outside is marked so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Places on the row's plot, in percent; `low` and `high` are None where no interval is known.

    `outside` says that the speed-up lies beyond the plot's edge, where it is drawn.
    """

    speedup: float
    low: float | None
    high: float | None
    expected_low: float | None
    expected_high: float | None
    outside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the report and where its marks go."""

    data: ComparisonRow
    interval: Interval
    summary: str
    """The row in words, for those who do not see the plot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonTable:
    """One comparison, all its intervals on one axis; `one_at` is where both sides are equally fast."""

    data: Comparison
    baseline: RunMark
    candidate: RunMark
    axis: Axis
    one_at: float
    rows: tuple[Row, ...]
    has_intervals: bool


def comparison_tables(report: Report) -> tuple[ComparisonTable, ...]:
    """A table per comparison, in the report's order."""
    marks = marks_by_label(report)
    return tuple(_table(comparison, marks) for comparison in report.comparisons)


def _table(comparison: Comparison, marks: dict[str, RunMark]) -> ComparisonTable:
    scale = _scale(comparison)
    return ComparisonTable(
        data=comparison,
        baseline=marks[comparison.baseline],
        candidate=marks[comparison.candidate],
        axis=log_axis(scale, "speed-up", lambda value: f"{value:g}×", base=2, most=5),
        one_at=scale.at(1),
        rows=tuple(Row(data=row, interval=_interval(row, scale), summary=_summary(row)) for row in comparison.rows),
        has_intervals=any(row.ci_low is not None for row in comparison.rows),
    )


def _scale(comparison: Comparison) -> LogScale:
    """Symmetric about 1, so that twice as fast and half as fast lie equally far from it.

    One extreme row must not squeeze the others, hence FURTHEST.
    """
    values = [1.5]
    for row in comparison.rows:
        values += [value for value in (row.speedup, row.ci_low, row.ci_high, row.expected_high) if value]
    furthest = log_scale((min(FURTHEST, max(value, 1 / value)) for value in values), base=2).high
    return LogScale(low=1 / furthest, high=furthest)


def _interval(row: ComparisonRow, scale: LogScale) -> Interval:
    def at(value: float | None) -> float | None:
        return None if value is None else scale.at(value)

    return Interval(
        speedup=scale.at(row.speedup),
        low=at(row.ci_low),
        high=at(row.ci_high),
        expected_low=at(row.expected_low),
        expected_high=at(row.expected_high),
        outside=not scale.low <= row.speedup <= scale.high,
    )


def _summary(row: ComparisonRow) -> str:
    expected = units.ratio_range(row.expected_low, row.expected_high)
    interval = units.ratio_range(row.ci_low, row.ci_high)
    return f"{units.ratio(row.speedup)}, 95 % interval {interval}, expected {expected}"
