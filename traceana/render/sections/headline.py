"""The first screen: the answer in a sentence, the step of each side, a few numbers, and how far to trust them."""

from dataclasses import dataclass

from traceana import units
from traceana.render.answer.figures import Headline
from traceana.render.answer.glance import Glance, glance
from traceana.render.answer.of_report import answer
from traceana.render.answer.typical_step import TypicalStep, typical_step
from traceana.render.page.marks import RunMark, runs_by_side
from traceana.render.page.section import Section
from traceana.report import Report

PARTS = (
    ("compute", "compute"),
    ("waiting", "exposed: waiting for the last rank"),
    ("exposed", "exposed: all else"),
    ("idle", "neither"),
)
"""Style class and legend of each part of a step, in the order in which they are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a step, in percent of the longest step."""

    kind: str
    at: float
    width: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBar:
    """The typical step of a side."""

    run: RunMark
    name: str
    duration: str
    end: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstScreen:
    """What stands above everything; no `bars` where no run has steps."""

    answer: Headline
    context: str
    bars: tuple[StepBar, ...]
    legend: tuple[tuple[str, str], ...]
    glance: Glance


def first_screen(report: Report) -> FirstScreen:
    """The answer of the whole report."""
    return FirstScreen(
        answer=answer(report), context=_context(report), bars=step_bars(report), legend=PARTS, glance=glance(report)
    )


def _context(report: Report) -> str:
    """What ran: ranks, GPUs, runs a side; where sides differ, each value."""
    ranks = [units.plural(run.world_size, "rank") for run in report.runs]
    gpus = [gpu for run in report.runs for gpu in run.gpus]
    sides = [len(runs) for runs in runs_by_side(report).values()]
    runs = " + ".join(map(str, sides)) + (" run" if sides == [1] else " runs")
    return " · ".join(", ".join(dict.fromkeys(words)) for words in (ranks, gpus, [runs]) if words)


def step_bars(report: Report) -> tuple[StepBar, ...]:
    """A bar a side that has steady steps, all on one scale."""
    typical = {mark: typical_step(runs) for mark, runs in runs_by_side(report).items()}
    found = {mark: step for mark, step in typical.items() if step}
    longest = max((max(step.duration_ns, sum(_times(step))) for step in found.values()), default=0)
    return tuple(_bar(mark, step, longest) for mark, step in found.items() if longest)


def _times(step: TypicalStep) -> tuple[int, ...]:
    """In the order of PARTS."""
    waiting_ns = step.waiting_ns or 0
    return step.compute_ns, waiting_ns, step.exposed_ns - waiting_ns, step.other_ns


def _bar(mark: RunMark, step: TypicalStep, longest_ns: int) -> StepBar:
    parts, at = [], 0.0
    for (kind, legend), ns in zip(PARTS, _times(step), strict=True):
        if not ns:
            continue
        width = 100 * ns / longest_ns
        title = f"{mark.label}, {step.name}: {legend} {units.duration(ns)}, {units.percent(ns, step.duration_ns)}"
        parts.append(Part(kind=kind, at=at, width=width, title=title))
        at += width
    return StepBar(run=mark, name=step.name, duration=units.duration(step.duration_ns), end=at, parts=tuple(parts))


SECTION = Section(name="headline", view=first_screen)
