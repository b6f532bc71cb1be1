"""Several candidates against one baseline, the fastest first, those that these runs cannot tell of last."""

from dataclasses import dataclass

from traceana import units
from traceana.render.answer.of_comparison import mix_speedup, standing, verdicts_in_words
from traceana.render.page.marks import RunMark, side_marks
from traceana.render.page.section import Section
from traceana.report import Comparison, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One candidate: `speedup` over the mix of calls, `worth_ns` of the certain rows, None where it is not known."""

    baseline: RunMark
    candidate: RunMark
    speedup: float | None
    verdicts: str
    worth_ns: int | None
    worth_per: str
    end_to_end: str
    comparable: bool


def ranking(report: Report) -> tuple[Ranked, ...]:
    """All candidates; empty where there are fewer than two, since a table of one says nothing."""
    if len(report.comparisons) < 2:
        return ()
    marks = side_marks(report)
    return tuple(_ranked(one, marks) for one in sorted(report.comparisons, key=standing, reverse=True))


def _ranked(comparison: Comparison, marks: dict[str, RunMark]) -> Ranked:
    times = [row for row in comparison.end_to_end if row.metric != "exposed"]
    return Ranked(
        baseline=marks[comparison.baseline],
        candidate=marks[comparison.candidate],
        speedup=mix_speedup(comparison),
        verdicts=verdicts_in_words(comparison),
        worth_ns=comparison.certain_worth_ns,
        worth_per=comparison.worth_per,
        end_to_end=f"{times[0].name}: {units.ratio(times[0].speedup)}, {times[0].verdict}" if times else "",
        comparable=comparison.comparable,
    )


SECTION = Section(name="ranking", title="Candidates", view=ranking)
