"""The first screen: the answer in a sentence, a few numbers, and how far to trust them."""

from dataclasses import dataclass

from traceana import units
from traceana.report import Comparison, ComparisonRow, Operation, Report, RunReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A question and its answer in a number; `term` names the definition of `caption` in the glossary."""

    question: str
    value: str
    caption: str
    detail: str
    term: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The answer, `second` saying what qualifies it."""

    sentence: str
    second: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Sums over the ranks of a run; shares of the window are quotients of these."""

    span_ns: int
    comm_ns: int
    overlapped_comm_ns: int
    exposed_comm_ns: int


def headline(report: Report) -> Headline:
    """What the report says: of the best candidate where runs were compared, else of the first run."""
    comparisons = [comparison for comparison in report.comparisons if comparison.rows]
    if comparisons:
        return _of_comparison(report, max(comparisons, key=mix_speedup))
    if report.runs:
        return _of_run(report.runs[0])
    return Headline(sentence="No run could be read.", second="", figures=())


def window(run: RunReport) -> Window:
    """The run's ranks added up."""
    return Window(
        span_ns=sum(rank.span_ns for rank in run.ranks),
        comm_ns=sum(rank.comm_ns for rank in run.ranks),
        overlapped_comm_ns=sum(rank.overlapped_comm_ns for rank in run.ranks),
        exposed_comm_ns=sum(rank.exposed_comm_ns for rank in run.ranks),
    )


def mix_speedup(comparison: Comparison) -> float:
    """Time of the baseline's calls over the time they would take at the candidate's medians."""
    rows = _telling(comparison)
    baseline = sum(row.baseline_count * row.baseline_p50_ns for row in rows)
    candidate = sum(row.baseline_count * row.candidate_p50_ns for row in rows)
    return baseline / candidate if candidate else 1.0


def _telling(comparison: Comparison) -> list[ComparisonRow]:
    """The rows with a verdict, or all where none has one: too few calls make a median of little worth."""
    return [row for row in comparison.rows if row.verdict != "cannot tell"] or list(comparison.rows)


def _of_comparison(report: Report, comparison: Comparison) -> Headline:
    lead = f"Best of {len(report.comparisons)} candidates: " if len(report.comparisons) > 1 else ""
    first, end, rest = comparison.sentence.partition(". ")
    fair = "" if comparison.comparable else "But the runs are not like for like, as said below."
    return Headline(
        sentence=f"{lead}{first}{end.strip()}",
        second=f"{rest} {fair}".strip(),
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
    speedup = units.ratio(mix_speedup(comparison))
    unsure = "Not measurably" if "no difference" in verdicts else "Cannot tell"
    certain = "faster" in verdicts or "slower" in verdicts
    return Figure(
        question=f"Is {comparison.candidate} faster?",
        value=speedup if certain else unsure,
        caption="speed-up of communication" if certain else f"speed-up of communication seen: {speedup}",
        detail=verdicts_in_words(comparison),
        term="mix",
    )


def _where_figure(comparison: Comparison) -> Figure:
    """The row that is worth most of those with a verdict."""
    certain = [row for row in comparison.rows if row.verdict in ("faster", "slower")]
    if not certain:
        nowhere = all(row.verdict == "no difference" for row in comparison.rows)
        return Figure(
            question="Where?",
            value="Nowhere" if nowhere else "Cannot tell",
            caption="no row has a certain difference",
            detail="",
            term="verdict",
        )
    row = max(certain, key=lambda row: (abs(row.worth_ns), row.baseline_count * row.baseline_p50_ns))
    return Figure(
        question="Where?",
        value=call_name(row.op, row.message_bytes),
        caption=worth(row.worth_ns, comparison.worth_per),
        detail=f"{row.verdict}: {units.ratio(row.speedup)} ({units.ratio_range(row.ci_low, row.ci_high)})",
        term="worth",
    )


def worth(worth_ns: int, worth_per: str) -> str:
    """What a difference is worth, in words: "saves 2.1 ms a step"."""
    if not worth_ns:
        return f"changes nothing a {worth_per}"
    return f"{'saves' if worth_ns > 0 else 'costs'} {units.duration(abs(worth_ns))} a {worth_per}"


def _end_to_end_figure(report: Report, comparison: Comparison) -> Figure:
    question = "Does it matter end to end?"
    times = [row for row in comparison.end_to_end if row.metric != "exposed"]
    if not times:
        return _exposed_change_figure(report, comparison, question)
    row = times[0]
    interval = f", interval {units.ratio_range(row.ci_low, row.ci_high)}" if row.ci_low is not None else ""
    return Figure(
        question=question,
        value=f"{units.duration(row.baseline_p50_ns)} → {units.duration(row.candidate_p50_ns)}",
        caption=f"median {row.name}",
        detail=f"{row.verdict}: {units.ratio(row.speedup)}{interval}",
        term="step",
    )


def _exposed_change_figure(report: Report, comparison: Comparison, question: str) -> Figure:
    before, after = (_side_window(report, side) for side in (comparison.baseline, comparison.candidate))
    return Figure(
        question=question,
        value=f"{_exposed_share(before)} → {_exposed_share(after)}",
        caption="of the window is exposed communication",
        detail="no step is marked on both sides",
        term="exposed",
    )


def _side_window(report: Report, side: str) -> Window:
    windows = [window(run) for run in report.runs if run.side == side]
    return Window(
        span_ns=sum(one.span_ns for one in windows),
        comm_ns=sum(one.comm_ns for one in windows),
        overlapped_comm_ns=sum(one.overlapped_comm_ns for one in windows),
        exposed_comm_ns=sum(one.exposed_comm_ns for one in windows),
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


def _of_run(run: RunReport) -> Headline:
    if not run.operations:
        return Headline(
            sentence=f"No communication was found in {run.label}.",
            second="The traces hold no communication kernel and no collective that traceana knows.",
            figures=(),
        )
    times = window(run)
    costliest = max(run.operations, key=lambda operation: operation.duration_ns.sum)
    hidden = units.percent(times.overlapped_comm_ns, times.comm_ns)
    return Headline(
        sentence=f"{run.label} communicates for {units.percent(times.comm_ns, times.span_ns)} of its window; "
        f"{hidden} of that is hidden under compute.",
        second=f"{call_name(costliest.op, costliest.message_bytes)} takes most of it. "
        "Add a second run to compare backends.",
        figures=(_exposed_figure(run, times), _costliest_figure(run, costliest), _wait_figure(run)),
    )


def _exposed_figure(run: RunReport, times: Window) -> Figure:
    return Figure(
        question="How much is not hidden?",
        value=_exposed_share(times),
        caption="of the window is exposed communication",
        detail=f"{units.duration(times.exposed_comm_ns / max(1, len(run.ranks)))} a rank",
        term="exposed",
    )


def _costliest_figure(run: RunReport, costliest: Operation) -> Figure:
    everything = sum(operation.duration_ns.sum for operation in run.operations)
    return Figure(
        question="What costs most?",
        value=units.duration(costliest.duration_ns.p50),
        caption=f"median {call_name(costliest.op, costliest.message_bytes)}",
        detail=f"{units.percent(costliest.duration_ns.sum, everything)} of the time in calls, "
        f"{units.plural(costliest.count, 'call')}",
        term="duration",
    )


def _wait_figure(run: RunReport) -> Figure:
    question = "How much of it is waiting?"
    if not run.coverage.matched:
        return Figure(
            question=question,
            value=f"0 of {units.count(run.coverage.collectives)}",
            caption="calls are matched across ranks",
            detail="so waiting for peers cannot be told from transfer",
            term="matched",
        )
    waited = sum(operation.wait_ns.sum for operation in run.operations if operation.wait_ns)
    transferred = sum(operation.transfer_ns.sum for operation in run.operations if operation.transfer_ns)
    return Figure(
        question=question,
        value=units.percent(waited, waited + transferred),
        caption="of the time in matched calls is waiting for peers",
        detail=f"{units.count(run.coverage.matched)} of {units.plural(run.coverage.collectives, 'call')} matched",
        term="wait",
    )


def _exposed_share(times: Window) -> str:
    return units.percent(times.exposed_comm_ns, times.span_ns)


def call_name(op: str, message_bytes: int | None) -> str:
    """An operation and its size as prose names them: "all_to_all of 12 MiB"."""
    return op if message_bytes is None else f"{op} of {units.size(message_bytes)}"
