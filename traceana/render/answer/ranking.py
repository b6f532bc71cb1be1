"""Several candidates, each against its baseline: the fastest first, those that these runs cannot tell of last."""

import msgspec

from traceana import units
from traceana.render.answer.caveats import Caveat, of_comparison, of_runs
from traceana.render.answer.late import late_of
from traceana.render.answer.of_comparison import (
    exposed_change,
    mix_speedup,
    runs_needed,
    runs_of,
    standing,
    undecided_names,
    verdicts_in_words,
    whole_time,
)
from traceana.render.page.marks import RunMark, side_marks
from traceana.report import Comparison, Report, StepComparison


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate: `speedup` of its calls over the mix, `worth_ns` of the certain rows, None where it is not known.

    `step` is its time end to end, None where nothing marks one on both sides; `exposed` goes from the baseline's to the
    candidate's. `needed` runs a side would settle what is not certain.
    """

    baseline: RunMark
    candidate: RunMark
    ranks: int
    step: StepComparison | None
    exposed: str
    exposed_of: str
    speedup: float | None
    verdicts: str
    worth_ns: int | None
    worth_per: str
    late: str
    needed: int | None
    comparable: bool
    caveats: tuple[Caveat, ...]


def ranking(report: Report) -> tuple[Ranked, ...]:
    """All candidates, those of one baseline together; empty where there are fewer than two."""
    if len(report.comparisons) < 2:
        return ()
    marks = side_marks(report)
    baselines = [mark for mark in marks if any(one.baseline == mark for one in report.comparisons)]
    best = sorted(report.comparisons, key=standing, reverse=True)
    ordered = sorted(best, key=lambda one: baselines.index(one.baseline))
    return tuple(_ranked(one, report, marks) for one in ordered)


def _ranked(comparison: Comparison, report: Report, marks: dict[str, RunMark]) -> Ranked:
    baseline, candidate = (runs_of(report, side) for side in (comparison.baseline, comparison.candidate))
    exposed, exposed_of = exposed_change(comparison, baseline, candidate)
    late = late_of(candidate) if candidate else None
    return Ranked(
        baseline=marks[comparison.baseline],
        candidate=marks[comparison.candidate],
        ranks=candidate[0].world_size if candidate else 0,
        step=whole_time(comparison),
        exposed=exposed,
        exposed_of=exposed_of,
        speedup=mix_speedup(comparison),
        verdicts=verdicts_in_words(comparison),
        worth_ns=comparison.certain_worth_ns,
        worth_per=comparison.worth_per,
        late=f"rank {late.rank}, {units.duration(late.ns)} a {late.per}" if late else "",
        needed=runs_needed(comparison) if undecided_names(comparison) else None,
        comparable=comparison.comparable,
        caveats=(*of_comparison(comparison), *of_runs(candidate, noise=False)),
    )
