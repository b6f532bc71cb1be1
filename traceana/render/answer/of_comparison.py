"""What is said of a comparison: how much faster, where, whether it matters, and how far to trust it."""

from traceana import units
from traceana.compare.sentence import opening, qualification, row_name, worth_in_words
from traceana.render.answer.figures import Figure, Headline, exposed_share, window
from traceana.render.page import quotient
from traceana.report import Comparison, ComparisonRow, Report


def standing(comparison: Comparison) -> tuple[bool, float]:
    """What candidates are ranked by: those that these runs can tell of before others, then by their speed-up."""
    return bool(_decided(comparison)), mix_speedup(comparison) or 0.0


def mix_speedup(comparison: Comparison) -> float | None:
    """Time of the baseline's calls over the time they would take at the candidate's medians; None without a call.

    Rows that cannot tell count only where all cannot: too few calls make a median of little worth. One run a side can
    tell of no difference that it sees, so there all rows count that have calls enough for an interval.
    """
    seen = [row for row in comparison.rows if row.ci_low is not None] if comparison.one_run_a_side else []
    rows = seen or _decided(comparison) or comparison.rows
    baseline = sum(row.baseline_count * row.baseline_p50_ns for row in rows)
    candidate = sum(row.baseline_count * row.candidate_p50_ns for row in rows)
    return baseline / candidate if candidate else None


def _decided(comparison: Comparison) -> list[ComparisonRow]:
    return [row for row in comparison.rows if row.verdict != "cannot tell"]


def comparison_answer(report: Report, comparison: Comparison) -> Headline:
    """The answer where runs were compared; `comparison` is the one to tell of."""
    lead = f"Best of {len(report.comparisons)} candidates: " if len(report.comparisons) > 1 else ""
    fair = "" if comparison.comparable else "But the runs are not like for like, as said below."
    return Headline(
        sentence=f"{lead}{opening(comparison)}",
        second=f"{qualification(comparison)} {fair}".strip(),
        figures=(
            _faster_figure(comparison),
            _where_figure(comparison),
            _end_to_end_figure(report, comparison),
            _trust_figure(comparison),
        ),
    )


def verdicts_in_words(comparison: Comparison) -> str:
    """How many rows have which verdict: "faster at 2, cannot tell at 1 of 3 rows"."""
    verdicts = [row.verdict for row in comparison.rows]
    kinds = ("faster", "slower", "no difference", "cannot tell")
    counted = [f"{kind} at {verdicts.count(kind)}" for kind in kinds if kind in verdicts]
    return f"{', '.join(counted)} of {units.plural(len(verdicts), 'row')}"


def _faster_figure(comparison: Comparison) -> Figure:
    verdicts = {row.verdict for row in comparison.rows}
    certain = bool(comparison.certain)
    speedup = units.ratio(mix_speedup(comparison))
    unsure = "Not measurably" if verdicts == {"no difference"} else "Cannot tell"
    return Figure(
        question=f"Is {comparison.candidate} faster?",
        value=speedup if certain else unsure,
        caption="speed-up of communication" if certain else f"speed-up of communication seen: {speedup}",
        detail=verdicts_in_words(comparison),
        term="mix",
    )


def _where_figure(comparison: Comparison) -> Figure:
    """The row that is worth most of those with a verdict."""
    if not comparison.certain:
        return _nowhere_figure(comparison)
    row = max(comparison.certain, key=lambda row: (abs(row.worth_ns or 0), row.baseline_count * row.baseline_p50_ns))
    return Figure(
        question="Where?",
        value=row_name(comparison, row),
        caption=worth_in_words(row.worth_ns, comparison.worth_per),
        detail=f"{row.verdict}: {units.ratio(row.speedup)} ({units.ratio_range(row.ci_low, row.ci_high)})",
        term="worth",
    )


def _nowhere_figure(comparison: Comparison) -> Figure:
    """Where nothing is certain: what would make it so, as far as that can be estimated."""
    unsure = [row for row in comparison.rows if row.verdict == "cannot tell"]
    needed = max((row.runs_needed or 0 for row in unsure), default=0)
    if not needed:
        return Figure(
            question="Where?", value="Nowhere", caption="no row has a certain difference", detail="", term="verdict"
        )
    at_least = "" if comparison.interval_basis == "repeats" else "at least "
    return Figure(
        question="What would settle it?",
        value=f"{units.plural(needed, 'run')} a side",
        caption=f"{at_least}for all {units.plural(len(unsure), 'row')} without a verdict",
        detail="traceana capture --repeat N",
        term="verdict",
    )


def _end_to_end_figure(report: Report, comparison: Comparison) -> Figure:
    question = "Does it matter end to end?"
    times = [row for row in comparison.end_to_end if row.metric != "exposed"]
    if not times:
        return _exposed_change_figure(report, comparison, question)
    row = times[0]
    definition = quotient.definition(row.speedup, row.baseline_p50_ns, row.candidate_p50_ns)
    named = f" {definition}" if definition else ""
    interval = f", interval {units.ratio_range(row.ci_low, row.ci_high)}" if row.ci_low is not None else ""
    return Figure(
        question=question,
        value=f"{units.duration(row.baseline_p50_ns)} → {units.duration(row.candidate_p50_ns)}",
        caption=f"median {row.name}",
        detail=f"{row.verdict}: {units.ratio(row.speedup)}{named}{interval}",
        term="step",
    )


def _exposed_change_figure(report: Report, comparison: Comparison, question: str) -> Figure:
    sides = (comparison.baseline, comparison.candidate)
    before, after = (window(run for run in report.runs if run.side == side) for side in sides)
    return Figure(
        question=question,
        value=f"{exposed_share(before)} → {exposed_share(after)}",
        caption="of the window is exposed communication",
        detail="no step is marked on both sides",
        term="exposed",
    )


def _trust_figure(comparison: Comparison) -> Figure:
    """The gravest doubt first."""
    runs = min(len(comparison.baseline_runs), len(comparison.candidate_runs))
    repeats = f"{units.plural(runs, 'run')} a side"
    by_calls = comparison.interval_basis == "calls"
    doubts = []
    if not comparison.comparable:
        doubts.append("not like for like")
    if comparison.noise:
        doubts.append("noisy")
    if by_calls:
        doubts.append(f"only {repeats}")
    return Figure(
        question="Can I trust it?",
        value=(doubts[0] if doubts else repeats).capitalize(),
        caption="intervals over calls" if by_calls else "intervals over repeats",
        detail=", ".join(doubts[1:]) or ("nothing else speaks against it" if doubts else "like for like"),
        term="interval",
    )
