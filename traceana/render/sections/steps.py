"""Every execution of the step as a dot, a strip per run: how steady the runs are, before any statistics."""

import msgspec

from traceana import units
from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.scales import Axis, LogScale, Tick, round_step
from traceana.render.page.section import Section
from traceana.report import Report, StepTime

ROW_HEIGHT = 22
MOST_DOTS = 300


class Dot(msgspec.Struct, frozen=True, kw_only=True):
    """One execution, `at` percent of the axis."""

    at: float
    warm_up: bool
    title: str


class Strip(msgspec.Struct, frozen=True, kw_only=True):
    """One run's executions, `y` pixels from the top."""

    run: RunMark
    y: int
    dots: tuple[Dot, ...]


class Strips(msgspec.Struct, frozen=True, kw_only=True):
    """The chart."""

    name: str
    axis: Axis
    rows: tuple[Strip, ...]
    height: int


def strips(report: Report) -> Strips | None:
    """A strip per run that has steps, all on one axis; the first MOST_DOTS executions of each.

    None without steps, or where nothing is compared: a run by itself has its steps among the spans.
    """
    stepped = [(mark, run) for mark, run in marked_runs(report) if run.steps]
    if not stepped or not report.comparisons:
        return None
    times = [step.duration_ns for _, run in stepped for step in run.steps if step.duration_ns > 0] or [1]
    scale = LogScale(low=min(times) * 0.97, high=max(times) * 1.03)
    names = [row.name for comparison in report.comparisons for row in comparison.end_to_end if row.metric == "step"]
    return Strips(
        name=names[0] if names else "step",
        axis=_axis(scale),
        rows=tuple(_strip(mark, index, run.steps[:MOST_DOTS], scale) for index, (mark, run) in enumerate(stepped)),
        height=len(stepped) * ROW_HEIGHT,
    )


def _axis(scale: LogScale) -> Axis:
    """Ticks at round times: the axis spans the times and no more, since steps differ by little."""
    unit = units.time_unit(scale.high)
    step = round_step((scale.high - scale.low) / 8) / unit.scale
    first, last = int(scale.low / unit.scale / step) + 1, int(scale.high / unit.scale / step)
    places = [place * step for place in range(first, last + 1)]
    ticks = tuple(
        Tick(at=scale.at(place * unit.scale), label=units.tick(place), minor=index % 2 == 1)
        for index, place in enumerate(places)
    )
    return Axis(title=f"time ({unit.name}), logarithmic", ticks=ticks)


def _strip(mark: RunMark, index: int, steps: tuple[StepTime, ...], scale: LogScale) -> Strip:
    return Strip(
        run=mark,
        y=index * ROW_HEIGHT + ROW_HEIGHT // 2,
        dots=tuple(
            Dot(
                at=scale.at(step.duration_ns),
                warm_up=step.warm_up,
                title=f"{mark.label}, {step.name}: {units.duration(step.duration_ns)}"
                f"{', warm-up' if step.warm_up else ''}{', cut short' if step.cut_short else ''}",
            )
            for step in steps
        ),
    )


SECTION = Section(name="steps", title="Step by step", view=strips)
