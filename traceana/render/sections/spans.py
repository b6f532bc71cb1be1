"""User spans: step by step, and module by module."""

from collections.abc import Sequence
from dataclasses import dataclass

from traceana import units
from traceana.render.page import open_at
from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.scales import Axis, LinearScale, Tick, linear_scale, outline, time_axis
from traceana.render.page.section import Section
from traceana.report import Report, RunReport, Span, SpanInstance

STEP_TICKS = 10
MOST_CHARTS = 6
MOST_MARKED = 60
"""Executions of a run that have a marker, which says more on hover: the slowest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One numbered execution, in percent: `at` along the axis, its time and exposed communication from the top."""

    at: float
    time: float
    exposed: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """The executions of a span in one run: outlines of their times, and those that have a marker."""

    run: RunMark
    time: str
    exposed: str
    marked: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepChart:
    """A numbered span, step by step, the runs in one frame."""

    name: str
    step_axis: Axis
    time_axis: Axis
    lines: tuple[StepLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanRow:
    """A row of the spans table; `command` opens `execution` on the timeline."""

    run: RunMark
    data: Span
    execution: str
    command: str | None


def span_rows(report: Report) -> tuple[SpanRow, ...]:
    """All spans, those of one name under each other, the longest first."""
    rows = [_span_row(mark, run, span) for mark, run in marked_runs(report) for span in run.spans]
    totals: dict[str, int] = {}
    for row in rows:
        totals[row.data.name] = totals.get(row.data.name, 0) + row.data.duration_ns.sum
    return tuple(sorted(rows, key=lambda row: (-totals[row.data.name], row.data.name)))


def _span_row(mark: RunMark, run: RunReport, span: Span) -> SpanRow:
    """With the execution to look at: the slowest after the first, which is warm-up."""
    slowest = max(span.instances[1:] or span.instances, key=step_ns, default=None)
    name = slowest.name if slowest else span.name
    execution = f"slowest, {name}" if slowest else "first"
    return SpanRow(run=mark, data=span, execution=execution, command=open_at.of_span(run, name))


def step_ns(step: SpanInstance) -> int:
    """Device time of a step, or the host's where nothing was launched inside it.

    The host only queues kernels, so its own duration says little about how long they run.
    """
    return step.compute_ns + step.exposed_comm_ns or step.duration_ns


def step_charts(report: Report) -> tuple[StepChart, ...]:
    """A chart per span name that is numbered in any run and executed more than once, at most MOST_CHARTS."""
    by_name: dict[str, list[tuple[RunMark, Span]]] = {}
    for mark, run in marked_runs(report):
        for span in run.spans:
            if len(span.instances) > 1:
                by_name.setdefault(span.name, []).append((mark, span))
    return tuple(_chart(name, spans) for name, spans in [*by_name.items()][:MOST_CHARTS])


def _chart(name: str, spans: list[tuple[RunMark, Span]]) -> StepChart:
    scale = linear_scale(max(step_ns(step) for _, span in spans for step in span.instances), steps=6)
    longest = max((span.instances for _, span in spans), key=len)
    stride = max(1, -(-len(longest) // STEP_TICKS))
    ticks = tuple(
        Tick(at=_place(index, len(longest)), label=longest[index].name.removeprefix(name).strip(" :#_-") or str(index))
        for index in range(0, len(longest), stride)
    )
    return StepChart(
        name=name,
        step_axis=Axis(title="execution", ticks=ticks),
        time_axis=time_axis(scale, "time"),
        lines=tuple(_line(mark, span.instances, len(longest), scale) for mark, span in spans),
    )


def _line(mark: RunMark, instances: Sequence[SpanInstance], places: int, scale: LinearScale) -> StepLine:
    steps = [_step(mark, step, _place(index, places), scale) for index, step in enumerate(instances)]
    return StepLine(
        run=mark,
        time=outline((step.at, step.time) for step in steps),
        exposed=outline((step.at, step.exposed) for step in steps),
        marked=tuple(sorted(steps, key=lambda step: step.time)[:MOST_MARKED]),
    )


def _place(index: int, steps: int) -> float:
    """The middle of the step's share of the axis."""
    return 100 * (index + 0.5) / steps


def _step(mark: RunMark, step: SpanInstance, at: float, scale: LinearScale) -> Step:
    return Step(
        at=at,
        time=100 - scale.at(step_ns(step)),
        exposed=100 - scale.at(step.exposed_comm_ns),
        title=f"{mark.label}, {step.name}: {units.duration(step_ns(step))}, "
        f"compute {units.duration(step.compute_ns)}, exposed communication {units.duration(step.exposed_comm_ns)}; "
        f"on the host {units.duration(step.duration_ns)}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """The section's charts and table."""

    charts: tuple[StepChart, ...]
    rows: tuple[SpanRow, ...]


def _spans(report: Report) -> Spans | None:
    rows = span_rows(report)
    return Spans(charts=step_charts(report), rows=rows) if rows else None


SECTION = Section(name="spans", link="Spans", view=_spans)
