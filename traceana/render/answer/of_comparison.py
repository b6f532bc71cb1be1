"""What is said of a comparison: exposed time, the transfer itself, who is late, and how sure it is."""

from collections.abc import Sequence

from traceana import units
from traceana.comparing.sentence import opening, row_name, share_in_words
from traceana.render.answer import capture_command
from traceana.render.answer.causes import EXPOSED_IS, explained
from traceana.render.answer.figures import Figure, Headline, exposed_share, left_out, window
from traceana.render.answer.late import late_of, late_unknown
from traceana.report import Comparison, ComparisonRow, Report, RunReport, StepComparison

UNDECIDED = "cannot tell"
OF_THE_WINDOW = "of the window is exposed communication"


def standing(comparison: Comparison) -> tuple[bool, float]:
    """What candidates are ranked by: those that these runs can tell of before others, then by their speed-up."""
    return bool(_decided(comparison)), mix_speedup(comparison) or 0.0


def mix_speedup(comparison: Comparison) -> float | None:
    """Time of the baseline's calls over the time they would take at the candidate's medians; None without a call.

    Rows that cannot tell count only where all cannot: too few calls make a median of little worth. One run a side can
    tell of no difference that it sees, so there all rows count that have calls enough for an interval.
    """
    seen = [row for row in comparison.payload if row.ci_low is not None] if comparison.one_run_a_side else []
    rows = seen or _decided(comparison) or comparison.payload
    baseline = sum(row.baseline_count * row.baseline_p50_ns for row in rows)
    candidate = sum(row.baseline_count * row.candidate_p50_ns for row in rows)
    return baseline / candidate if candidate else None


def _decided(comparison: Comparison) -> list[ComparisonRow]:
    return [row for row in comparison.payload if row.verdict != "cannot tell"]


def comparison_answer(report: Report, comparison: Comparison) -> Headline:
    """The answer where runs were compared; `comparison` is the one to tell of."""
    lead = f"Best of {len(report.comparisons)} candidates: " if len(report.comparisons) > 1 else ""
    sentence = f"{lead}{opening(comparison)}"
    sides = [runs_of(report, side) for side in (comparison.baseline, comparison.candidate)]
    return Headline(
        sentence=sentence,
        second=share_in_words(comparison),
        figures=(
            _exposed_figure(comparison, *sides),
            _transfer_figure(comparison),
            _late_figure(*sides),
            sure_figure(comparison, *sides, told=UNDECIDED in sentence),
        ),
    )


def runs_of(report: Report, side: str) -> list[RunReport]:
    """The runs of a side, in the report's order."""
    return [run for run in report.runs if run.side == side]


def verdicts_in_words(comparison: Comparison) -> str:
    """How many rows have which verdict: "faster at 2, not certain at 1 of 3 rows"."""
    verdicts = [row.verdict for row in comparison.payload]
    kinds = (("faster",) * 2, ("slower",) * 2, ("no difference",) * 2, (UNDECIDED, "not certain"))
    counted = [f"{words} at {verdicts.count(kind)}" for kind, words in kinds if kind in verdicts]
    return f"{', '.join(counted)} of {units.plural(len(verdicts), 'row')}"


def whole_time(comparison: Comparison) -> StepComparison | None:
    """The end-to-end time that stands for a comparison: its step, else what else is measured end to end."""
    times = [row for row in comparison.end_to_end if row.metric != "exposed"]
    return next((row for row in times if row.metric == "step"), next(iter(times), None))


def exposed_change(
    comparison: Comparison, baseline: Sequence[RunReport], candidate: Sequence[RunReport]
) -> tuple[str, str]:
    """Exposed communication of both sides, and of what: a step, or where none is on both sides the window."""
    times = next((row for row in comparison.end_to_end if row.metric == "exposed"), None)
    if times:
        change = f"{units.duration(times.baseline_p50_ns)} → {units.duration(times.candidate_p50_ns)}"
        return change, "exposed communication a step"
    change = " → ".join(exposed_share(window(runs)) for runs in (baseline, candidate))
    return change, OF_THE_WINDOW


def _exposed_figure(comparison: Comparison, baseline: Sequence[RunReport], candidate: Sequence[RunReport]) -> Figure:
    value, caption = exposed_change(comparison, baseline, candidate)
    sides = ((comparison.baseline, baseline), (comparison.candidate, candidate))
    causes = [f"{side}: {part}" for side, runs in sides if (part := most_exposed_is(runs))]
    if caption == OF_THE_WINDOW:
        causes += [f"{side}: {part}" for side, runs in sides if (part := left_out(window(runs)))]
    return Figure(question="Exposed", value=value, caption=caption, detail="; ".join(causes), term="exposed")


def most_exposed_is(runs: Sequence[RunReport]) -> str:
    """The largest part of exposed communication: "80 % transfer"; empty where nothing is known of it."""
    parts = explained((rank.exposed_is for run in runs for rank in run.ranks), EXPOSED_IS)
    return f"{units.percent(parts[0].share, 1)} {parts[0].name}" if parts else ""


def _transfer_figure(comparison: Comparison) -> Figure:
    certain = bool(comparison.certain)
    of_transfer = all(row.basis == "transfer" for row in comparison.payload)
    return Figure(
        question="Transfer itself" if of_transfer else "Calls, waiting included",
        value=units.ratio(mix_speedup(comparison)),
        caption="speed-up of communication" if certain else "speed-up of communication seen",
        detail=verdicts_in_words(comparison),
        term="mix",
        certain=certain or not _undecided(comparison.payload),
    )


def _late_figure(baseline: Sequence[RunReport], candidate: Sequence[RunReport]) -> Figure:
    found = [late for runs in (baseline, candidate) if runs and (late := late_of(runs))]
    if not found:
        return late_unknown([*baseline, *candidate])
    late, *others = sorted(found, key=lambda late: -late.ns)
    details = [late.cause, *(f"{one.side}: rank {one.rank}, {one.in_words}" for one in others)]
    return Figure(
        question="Late",
        value=f"rank {late.rank} ({late.side})",
        caption=late.in_words,
        detail="; ".join(filter(None, details)),
        term="straggler",
    )


def sure_figure(
    comparison: Comparison, baseline: Sequence[RunReport], candidate: Sequence[RunReport], *, told: bool
) -> Figure:
    """How sure it is, and where it is not, how many runs settle it. `told` where it is said already that it is not."""
    runs = f"{len(comparison.baseline_runs)} + {len(comparison.candidate_runs)} runs"
    doubts = [] if comparison.comparable else ["not like for like"]
    doubts += ["noisy"] if comparison.noise else []
    open_ = undecided_names(comparison)
    if not open_:
        return Figure(
            question="How sure", value=runs, caption=_intervals(comparison), detail=", ".join(doubts), term="interval"
        )
    needed = runs_needed(comparison)
    at_least = "" if comparison.interval_basis == "repeats" else "at least, to "
    caption = f"{at_least}settle it" if told else f"{at_least}settle what these cannot tell: {', '.join(open_)}"
    return Figure(
        question="How sure",
        value=f"{units.plural(needed, 'run')} a side" if needed else "more runs",
        caption=caption,
        detail=", ".join([f"so far {runs}", *doubts]),
        term="verdict",
        certain=False,
        command=capture_command.of_repeats(baseline, candidate, needed) if needed else None,
    )


def _intervals(comparison: Comparison) -> str:
    return "intervals over calls" if comparison.interval_basis == "calls" else "intervals over repeats"


def undecided_names(comparison: Comparison) -> list[str]:
    """What has no verdict: the step first, then operations; of more than three two, and how many others."""
    step = whole_time(comparison)
    names = [step.metric] if step and step.verdict == UNDECIDED else []
    names += [row_name(comparison, row) for row in _undecided(comparison.payload)]
    return names if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more"]


def runs_needed(comparison: Comparison) -> int | None:
    """Runs a side that settle the step, or else the undecided row with most exposed time; None without an estimate."""
    step = whole_time(comparison)
    rows = sorted(
        _undecided(comparison.payload), key=lambda row: -max(row.baseline_exposed_ns, row.candidate_exposed_ns)
    )
    of_step = [step.runs_needed] if step and step.verdict == UNDECIDED else []
    return next((runs for runs in (*of_step, *(row.runs_needed for row in rows)) if runs), None)


def _undecided(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    return [row for row in rows if row.verdict == UNDECIDED]
