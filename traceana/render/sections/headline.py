"""The first screen: the answer, the step of each side, a few numbers or a ranking, caveats, and what costs most."""

import msgspec

from traceana import units
from traceana.render.answer import caveats, top
from traceana.render.answer.caveats import Caveat
from traceana.render.answer.figures import Headline
from traceana.render.answer.of_report import answer
from traceana.render.answer.ranking import Ranked, ranking
from traceana.render.answer.step_change import step_changes
from traceana.render.answer.top import TopRow
from traceana.render.answer.typical_step import TypicalStep, typical_step
from traceana.render.page.marks import RunMark, runs_by_side, side_marks
from traceana.render.page.section import Section
from traceana.report import Report

PARTS = (
    ("compute", "compute"),
    ("waiting", "exposed: waiting for the last rank"),
    ("exposed", "exposed: transfer"),
    ("unknown", "exposed: not explained"),
    ("idle", "neither"),
)
"""Style class and legend of each part of a step, in the order in which they are drawn."""
FRAMEWORKS = ("sglang", "vllm", "diffusers", "torch")
"""Whose version the context names: the first that is known."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a step, in percent of the longest step."""

    kind: str
    at: float
    width: float
    title: str


class StepBar(msgspec.Struct, frozen=True, kw_only=True):
    """The typical step of a side; `against` is its speed-up over the baseline, empty for the baseline itself."""

    run: RunMark
    duration: str
    against: str
    end: float
    parts: tuple[Part, ...]


class FirstScreen(msgspec.Struct, frozen=True, kw_only=True):
    """What stands above everything; no `bars` where no run has steps. Of a `ranking` there are no figures."""

    answer: Headline
    context: tuple[str, ...]
    bars: tuple[StepBar, ...]
    legend: tuple[tuple[str, str], ...]
    ranking: tuple[Ranked, ...]
    caveats: tuple[Caveat, ...]
    top: tuple[TopRow, ...]
    top_sides: tuple[RunMark, ...]
    """Whose exposed times the rows of `top` have."""
    top_per: str


def first_screen(report: Report) -> FirstScreen:
    """The answer of the whole report."""
    ranked = ranking(report)
    bars = step_bars(report)
    rows, sides, per = _top(report)
    drawn = {part.kind for bar in bars for part in bar.parts}
    return FirstScreen(
        answer=answer(report),
        context=_context(report),
        bars=bars,
        legend=tuple(part for part in PARTS if part[0] in drawn),
        ranking=ranked,
        caveats=() if ranked else caveats.of_report(report),
        top=() if ranked else rows,
        top_sides=sides,
        top_per=per,
    )


def _top(report: Report) -> tuple[tuple[TopRow, ...], tuple[RunMark, ...], str]:
    marks = side_marks(report)
    if report.comparisons:
        comparison = report.comparisons[0]
        sides = marks[comparison.baseline], marks[comparison.candidate]
        return top.top_of_comparison(comparison, report.runs), sides, comparison.worth_per
    if len(report.runs) == 1:
        return top.top_of_run(report.runs[0]), tuple(marks.values()), "rank"
    return (), (), ""


def _context(report: Report) -> tuple[str, ...]:
    """What ran: sides, GPUs, the framework, runs a side, whether like for like; where sides differ, each value."""
    names = list(side_marks(report))
    by_side = list(runs_by_side(report).values())
    sides = f"{names[1]} against {names[0]}" if len(report.comparisons) == 1 else units.plural(len(by_side), "side")
    ranks = [units.plural(run.world_size, "rank") for run in report.runs]
    gpus = [" and ".join(run.gpus) for run in report.runs if run.gpus]
    versions = [dict(run.versions) for run in report.runs]
    framework = next((name for name in FRAMEWORKS if any(name in known for known in versions)), None)
    named = [f"{framework} {known[framework]}" for known in versions if framework in known] if framework else []
    runs = _counted([len(runs) for runs in by_side])
    fair = [("not like for like", "like for like")[one.comparable] for one in report.comparisons]
    found = (
        [sides] if len(by_side) > 1 else [],
        ranks,
        gpus,
        named,
        [runs] if by_side else [],
        fair if len(fair) == 1 else [],
    )
    return tuple(", ".join(dict.fromkeys(words)) for words in found if words)


def _counted(runs: list[int]) -> str:
    """Runs of each side: "1 run", "3 + 2 runs", and of many sides of as many "3 runs a side"."""
    if len(runs) > 2 and len(set(runs)) == 1:
        return f"{units.plural(runs[0], 'run')} a side"
    return " + ".join(map(str, runs)) + (" run" if runs == [1] else " runs")


def step_bars(report: Report) -> tuple[StepBar, ...]:
    """A bar a side that has steady steps, all on one scale."""
    typical = {mark: typical_step(runs) for mark, runs in runs_by_side(report).items()}
    found = {mark: step for mark, step in typical.items() if step}
    longest = max((max(step.duration_ns, sum(_times(step))) for step in found.values()), default=0)
    against = step_changes(report)
    return tuple(_bar(mark, step, longest, against.get(mark.label, "")) for mark, step in found.items() if longest)


def _times(step: TypicalStep) -> tuple[int, ...]:
    """In the order of PARTS."""
    waiting_ns, unexplained_ns = step.waiting_ns or 0, step.unexplained_ns
    return step.compute_ns, waiting_ns, step.exposed_ns - waiting_ns - unexplained_ns, unexplained_ns, step.other_ns


def _bar(mark: RunMark, step: TypicalStep, longest_ns: int, against: str) -> StepBar:
    parts, at = [], 0.0
    for (kind, legend), ns in zip(PARTS, _times(step), strict=True):
        if ns <= 0:
            continue
        width = 100 * ns / longest_ns
        title = f"{mark.label}, typical step: {legend} {units.duration(ns)}, {units.percent(ns, step.duration_ns)}"
        parts.append(Part(kind=kind, at=at, width=width, title=title))
        at += width
    return StepBar(
        run=mark,
        duration=units.duration(step.duration_ns),
        against=against,
        end=at,
        parts=tuple(parts),
    )


SECTION = Section(name="headline", view=first_screen)
