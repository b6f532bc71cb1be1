"""A sweep's page: one file that loads nothing and needs no script. Labels are strangers' words, and escaped."""

from collections.abc import Iterable, Sequence

import msgspec
from markupsafe import Markup

from traceana import units
from traceana.render.page.environment import asset, environment, hash_source
from traceana.render.page.scales import Axis, LinearScale, LogScale, Tick, linear_scale, time_axis
from traceana.sweep import text
from traceana.sweep.report import Effect, SweepCell, SweepReport, Verdict

_HEIGHT = 320
_LABEL_ROOM = 20.0
_LEAST_ROOM = 1.02
"""A scale of speed-ups reaches 2 % beyond 1× at least, lest chance look like a difference."""


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """Places of a speed-up and its interval in percent; None where it is not known."""

    at: float
    low: float | None
    high: float | None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a table with its plot."""

    name: str
    data: SweepCell | Effect
    verdict: Verdict | None
    drawn: Drawn | None


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """Rows on one logarithmic axis of speed-ups; `one_at` is where both are equally fast."""

    axis: Axis
    one_at: float
    rows: tuple[Row, ...]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A cell among time and GPU time, in percent from the left and from the bottom."""

    x: float
    y: float
    cell: SweepCell
    title: str


class Frontier(msgspec.Struct, frozen=True, kw_only=True):
    """Time against GPU time."""

    x_axis: Axis
    y_axis: Axis
    height: int
    points: tuple[Point, ...]


def render(report: SweepReport) -> str:
    """The whole page."""
    templates = environment()
    style = asset(templates, "report.css")
    return templates.get_template("sweep.html.j2").render(
        report=report,
        style=Markup(style),
        policy=f"default-src 'none'; style-src {hash_source(style)}; base-uri 'none'; form-action 'none'",
        cells=_plot([(cell.label, cell, cell.against_baseline) for cell in report.cells if cell.time_ns]),
        effects=_plot([(text.effect_name(one), one, one.verdict) for one in report.effects]),
        frontier=_frontier([cell for cell in report.cells if cell.time_ns and cell.gpu_time_ns]),
        notes=text.notes(report),
        winning=text.winning_lines(report),
        text=text,
    )


def _plot(rows: Sequence[tuple[str, SweepCell | Effect, Verdict | None]]) -> Plot:
    known = [its for _, _, its in rows if its is not None and its.speedup > 0]
    ends = (bound for its in known for bound in (its.speedup, its.ci_low, its.ci_high) if bound)
    scale = _scale(ends)
    return Plot(
        axis=Axis(title="speed-up", ticks=_ticks(scale)),
        one_at=scale.at(1.0),
        rows=tuple(Row(name=name, data=data, verdict=its, drawn=_drawn(its, scale)) for name, data, its in rows),
    )


def _scale(values: Iterable[float]) -> LogScale:
    """From an eighth to eight times at most: beyond that, points sit on the edge."""
    known = [min(max(value, 0.125), 8.0) for value in values]
    return LogScale(low=min([1 / _LEAST_ROOM, *known]), high=max([_LEAST_ROOM, *known]))


def _ticks(scale: LogScale) -> tuple[Tick, ...]:
    """1× and those of the ends whose labels have room beside it."""
    values = [value for value in (scale.low, scale.high) if abs(scale.at(value) - scale.at(1.0)) > _LABEL_ROOM]
    return tuple(Tick(at=scale.at(value), label=f"{value:.3g}×") for value in (1.0, *values))


def _drawn(its: Verdict | None, scale: LogScale) -> Drawn | None:
    if its is None or its.speedup <= 0:
        return None
    low, high = (None if bound is None else scale.at(bound) for bound in (its.ci_low, its.ci_high))
    return Drawn(at=scale.at(its.speedup), low=low, high=high)


def _frontier(cells: Sequence[SweepCell]) -> Frontier | None:
    """None where all cells have as many GPUs: then it says nothing that their times do not."""
    if len({cell.gpus for cell in cells}) < 2:
        return None
    x, y = (linear_scale(max(values) * 1.05, steps=6) for values in zip(*map(_point, cells), strict=True))
    return Frontier(
        x_axis=time_axis(x, "time"),
        y_axis=time_axis(y, "GPU time"),
        height=_HEIGHT,
        # The better ones last, so that none lies over them.
        points=tuple(_placed(cell, x, y) for cell in sorted(cells, key=lambda cell: cell.pareto)),
    )


def _point(cell: SweepCell) -> tuple[int, int]:
    return cell.time_ns or 0, cell.gpu_time_ns or 0


def _placed(cell: SweepCell, x: LinearScale, y: LinearScale) -> Point:
    time, cost = _point(cell)
    title = f"{cell.label}: {units.duration(time)}, {units.duration(cost)} of GPUs"
    return Point(x=x.at(time), y=y.at(cost), cell=cell, title=title)
