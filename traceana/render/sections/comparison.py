"""The comparison of two sides: tables of operations and of end-to-end times, each row with an interval plot."""

from collections.abc import Sequence

import msgspec

from traceana import units
from traceana.comparing.sentence import METRIC_NAMES, row_name
from traceana.render.page.basis import common_basis
from traceana.render.page.marks import RunMark, side_marks
from traceana.render.page.scales import Axis, LogScale, Tick
from traceana.render.page.section import Section
from traceana.report import Comparison, ComparisonRow, Report, StepComparison

REACHES = (1.25, 1.5, 2.0, 3.0, 4.0)
"""Where plots end, so many times slower and faster; what lies beyond the last is drawn at the edge and marked so."""


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """Places on the row's plot, in percent; `low` and `high` are None where no interval is known.

    `caps` are those of the interval's ends that lie inside the plot; they are drawn taller than the marker, so that an
    interval narrower than it can be seen. `outside` says that the speed-up lies beyond the plot's edge, where it is
    drawn.
    """

    speedup: float
    low: float | None
    high: float | None
    caps: tuple[float, ...]
    expected_low: float | None
    expected_high: float | None
    outside: bool
    summary: str
    """The row in words, for those who do not see the plot."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the report and where its marks go."""

    name: str
    data: ComparisonRow
    interval: Interval


class EndToEndRow(msgspec.Struct, frozen=True, kw_only=True):
    """The same for an end-to-end time."""

    data: StepComparison
    metric: str
    interval: Interval


class ComparisonTable(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison, all its intervals on one axis; at `one_at` percent of it both sides are equally fast."""

    data: Comparison
    baseline: RunMark
    candidate: RunMark
    axis: Axis
    one_at: float
    rows: tuple[Row, ...]
    end_to_end: tuple[EndToEndRow, ...]
    basis: str
    row_basis: str | None
    """What all rows are of, `transfer` or `duration`; None where some are of the one and some of the other."""
    expected: bool
    """Whether the guide expects anything of any row."""


def comparison_tables(report: Report) -> tuple[ComparisonTable, ...]:
    """A table per comparison, in the report's order."""
    marks = side_marks(report)
    return tuple(_table(comparison, marks) for comparison in report.comparisons)


def _table(comparison: Comparison, marks: dict[str, RunMark]) -> ComparisonTable:
    scale = _scale([*comparison.rows, *comparison.end_to_end])
    return ComparisonTable(
        data=comparison,
        baseline=marks[comparison.baseline],
        candidate=marks[comparison.candidate],
        axis=_axis(scale),
        one_at=scale.at(1),
        rows=tuple(
            Row(
                name=row_name(comparison, row),
                data=row,
                interval=_interval(row, scale, row.expected_low, row.expected_high),
            )
            for row in comparison.rows
        ),
        end_to_end=tuple(
            EndToEndRow(
                data=row,
                metric=METRIC_NAMES[row.metric],
                interval=_interval(row, scale, None, None),
            )
            for row in comparison.end_to_end
        ),
        basis=basis(comparison),
        row_basis=common_basis(row.basis for row in comparison.rows),
        expected=any(row.expected_low is not None for row in comparison.rows),
    )


def _scale(rows: Sequence[ComparisonRow | StepComparison]) -> LogScale:
    """Symmetric about 1, so that twice as fast and half as fast lie equally far from it."""
    values = [1.0]
    for row in rows:
        expected = row.expected_low if isinstance(row, ComparisonRow) else None
        values += [value for value in (row.speedup, row.ci_low, row.ci_high, expected) if value]
    furthest = max(max(value, 1 / value) for value in values)
    reach = next((reach for reach in REACHES if reach >= furthest), REACHES[-1])
    return LogScale(low=1 / reach, high=reach)


def _axis(scale: LogScale) -> Axis:
    ticks = tuple(Tick(at=scale.at(value), label=f"{value:.2g}×") for value in (scale.low, 1.0, scale.high))
    return Axis(title="speed-up", ticks=ticks)


def _interval(
    row: ComparisonRow | StepComparison, scale: LogScale, expected_low: float | None, expected_high: float | None
) -> Interval:
    def at(value: float | None) -> float | None:
        return None if value is None else scale.at(value)

    expected = f", expected {units.ratio_range(expected_low, expected_high)}" if expected_low is not None else ""
    return Interval(
        speedup=scale.at(row.speedup),
        low=at(row.ci_low),
        high=at(row.ci_high),
        caps=tuple(scale.at(end) for end in (row.ci_low, row.ci_high) if end and scale.low <= end <= scale.high),
        expected_low=at(expected_low),
        expected_high=at(expected_high),
        outside=row.speedup > 0 and not scale.low <= row.speedup <= scale.high,
        summary=f"{units.ratio(row.speedup)}, 95 % interval {units.ratio_range(row.ci_low, row.ci_high)}{expected}",
    )


def basis(comparison: Comparison) -> str:
    """What the intervals cover, and what they do not."""
    runs = len(comparison.baseline_runs), len(comparison.candidate_runs)
    if comparison.interval_basis == "repeats":
        return (
            f"they take runs as the sample ({runs[0]} of {comparison.baseline}, {runs[1]} of "
            f"{comparison.candidate}), so they cover the difference that another run would bring."
        )
    return (
        "they take calls as the sample, so they cover the spread of the calls inside these recordings, not the "
        "difference that another run would bring. Three or more runs a side would cover that too."
    )


SECTION = Section(name="comparison", title="Comparison", view=comparison_tables)
