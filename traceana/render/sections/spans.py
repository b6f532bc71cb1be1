"""User spans: step by step, and module by module."""

from collections.abc import Callable

import msgspec

from traceana import units
from traceana.render.page import open_at
from traceana.render.page.host import device, on_host
from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.scales import Axis, LinearScale, Tick, linear_scale, outline, time_axis
from traceana.render.page.section import Section
from traceana.report import Report, RunReport, Span, SpanInstance

STEP_TICKS = 10
MOST_CHARTS = 6
MOST_MARKED = 60
"""Executions of a run that have a marker, which says more on hover: the slowest ones."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One numbered execution, in percent: `at` along the axis, its time and exposed communication from the top."""

    at: float
    time: float
    exposed: float
    title: str


class StepLine(msgspec.Struct, frozen=True, kw_only=True):
    """The executions of a span in one run: outlines of their times, and those that have a marker."""

    run: RunMark
    time: str
    exposed: str
    marked: tuple[Step, ...]


class StepChart(msgspec.Struct, frozen=True, kw_only=True):
    """A numbered span, step by step, the runs in one frame. `quantity` says what is drawn, which `term` defines."""

    name: str
    quantity: str
    term: str
    step_axis: Axis
    time_axis: Axis
    lines: tuple[StepLine, ...]


class _Numbered(msgspec.Struct, frozen=True, kw_only=True):
    """The numbered executions of a span in one run."""

    mark: RunMark
    run: RunReport
    executions: tuple[SpanInstance, ...]


class SpanRow(msgspec.Struct, frozen=True, kw_only=True):
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
    slowest = max(span.instances[1:] or span.instances, key=_times(run), default=None)
    name = slowest.name if slowest else span.name
    execution = f"slowest, {name}" if slowest else "first"
    return SpanRow(run=mark, data=span, execution=execution, command=open_at.of_span(run, name))


def _times(run: RunReport) -> Callable[[SpanInstance], int]:
    """The time of an execution: as the run's steps have it, else the GPU's busy time in it or, without any, the host's.

    The host only queues kernels, so its own duration says little about how long they run.
    """
    steps, host = _step_times(run), on_host(run)

    def time(execution: SpanInstance) -> int:
        busy = 0 if host else execution.compute_ns + execution.exposed_comm_ns
        return steps.get(execution.name) or busy or execution.duration_ns

    return time


def _step_times(run: RunReport) -> dict[str, int]:
    return {step.name: step.duration_ns for step in run.steps}


def step_charts(report: Report) -> tuple[StepChart, ...]:
    """A chart per span name that is numbered in any run and executed more than once, at most MOST_CHARTS."""
    by_name: dict[str, list[_Numbered]] = {}
    for mark, run in marked_runs(report):
        for span in run.spans:
            if len(span.instances) > 1:
                by_name.setdefault(span.name, []).append(_Numbered(mark=mark, run=run, executions=span.instances))
    return tuple(_chart(name, spans) for name, spans in [*by_name.items()][:MOST_CHARTS])


def _chart(name: str, spans: list[_Numbered]) -> StepChart:
    scale = linear_scale(max(_times(one.run)(step) for one in spans for step in one.executions), steps=6)
    longest = max((one.executions for one in spans), key=len)
    quantity, term = _quantity(spans)
    stride = max(1, -(-len(longest) // STEP_TICKS))
    ticks = tuple(
        Tick(at=_place(index, len(longest)), label=longest[index].name.removeprefix(name).strip(" :#_-") or str(index))
        for index in range(0, len(longest), stride)
    )
    return StepChart(
        name=name,
        quantity=quantity,
        term=term,
        step_axis=Axis(title="execution", ticks=ticks),
        time_axis=time_axis(scale, "time"),
        lines=tuple(_line(one, len(longest), scale) for one in spans),
    )


def _quantity(spans: list[_Numbered]) -> tuple[str, str]:
    """What the lines are of, and the term for it."""
    if any(step.name in _step_times(one.run) for one in spans for step in one.executions):
        return "time of a step", "step"
    kind = device(one.run for one in spans)
    return f"time on the {kind}", "busy"


def _line(one: _Numbered, places: int, scale: LinearScale) -> StepLine:
    time = _times(one.run)
    control = {step.name: step.control_exposed_comm_ns for step in one.run.steps}
    steps = [
        _step(one.mark, step, (time(step), control.get(step.name, 0)), _place(index, places), scale)
        for index, step in enumerate(one.executions)
    ]
    return StepLine(
        run=one.mark,
        time=outline((step.at, step.time) for step in steps),
        exposed=outline((step.at, step.exposed) for step in steps),
        marked=tuple(sorted(steps, key=lambda step: step.time)[:MOST_MARKED]),
    )


def _place(index: int, steps: int) -> float:
    """The middle of the step's share of the axis."""
    return 100 * (index + 0.5) / steps


def _step(mark: RunMark, step: SpanInstance, times_ns: tuple[int, int], at: float, scale: LinearScale) -> Step:
    """`times_ns` are its own and that of control traffic, which is no part of its exposed communication here."""
    time_ns, control_ns = times_ns
    exposed_ns = max(0, step.exposed_comm_ns - control_ns)
    beside = f", {units.duration(control_ns)} in control traffic" if control_ns else ""
    return Step(
        at=at,
        time=100 - scale.at(time_ns),
        exposed=100 - scale.at(exposed_ns),
        title=f"{mark.label}, {step.name}: {units.duration(time_ns)}, "
        f"compute {units.duration(step.compute_ns)}, exposed communication {units.duration(exposed_ns)}{beside}; "
        f"on the host {units.duration(step.duration_ns)}",
    )


class Spans(msgspec.Struct, frozen=True, kw_only=True):
    """The section's charts and table."""

    charts: tuple[StepChart, ...]
    rows: tuple[SpanRow, ...]


def _spans(report: Report) -> Spans | None:
    rows = span_rows(report)
    return Spans(charts=step_charts(report), rows=rows) if rows else None


SECTION = Section(name="spans", title="Steps and modules", view=_spans)
