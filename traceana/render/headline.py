"""The first screen: the answer in a sentence, three numbers, and how far to trust them."""

from dataclasses import dataclass
from statistics import median

from traceana import units
from traceana.render.spans import step_ns
from traceana.report import Comparison, ComparisonRow, Operation, Report, RunReport, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One of the three numbers; `term` names its definition in the glossary."""

    value: str
    caption: str
    detail: str
    term: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The answer, `second` saying what it means for a step."""

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
    runs = {run.label: run for run in report.runs}
    baseline, candidate = runs[comparison.baseline], runs[comparison.candidate]
    return Headline(
        sentence=_verdict_sentence(comparison, len(report.comparisons)),
        second=f"{_step_change(baseline, candidate)} {_caution(comparison)}".strip(),
        figures=(
            _mix_figure(comparison),
            _exposed_change_figure(baseline, candidate),
            _step_figure(baseline, candidate),
        ),
    )


def _verdict_sentence(comparison: Comparison, compared: int) -> str:
    verdicts = [row.verdict for row in comparison.rows]
    faster, slower, rows = verdicts.count("faster"), verdicts.count("slower"), len(verdicts)
    candidate, baseline = comparison.candidate, comparison.baseline
    sized = any(row.message_bytes is not None for row in comparison.rows)
    cases = f"{units.plural(rows, 'combination')} of operation and size" if sized else units.plural(rows, "operation")
    lead = f"Best of {compared} candidates: " if compared > 1 else ""
    if faster and slower:
        return (
            f"{lead}{candidate} is faster than {baseline} at {faster} {_extent(comparison, 'faster')} "
            f"and slower at {slower} {_extent(comparison, 'slower')} of {cases}."
        )
    if faster or slower:
        word = "faster" if faster else "slower"
        share = "all" if (faster or slower) == rows > 1 else f"{faster or slower} of"
        return f"{lead}{candidate} is {word} than {baseline} at {share} {cases} {_extent(comparison, word)}."
    if "no difference" in verdicts:
        return f"{lead}{candidate} and {baseline} do not differ measurably at any of {cases}."
    return f"{lead}Whether {candidate} or {baseline} is faster, these traces cannot tell."


def _extent(comparison: Comparison, verdict: str) -> str:
    """How much: a verdict alone hides that a sure difference can be a small one."""
    speedups = [row.speedup for row in comparison.rows if row.verdict == verdict]
    low, high = min(speedups), max(speedups)
    return f"({units.ratio(low) if units.ratio(low) == units.ratio(high) else units.ratio_range(low, high)})"


def _step_change(baseline: RunReport, candidate: RunReport) -> str:
    """Does it matter for the program? By the step that both runs have; a difference seen, without an interval."""
    steps = _common_step(baseline, candidate)
    if steps is None:
        return ""
    before, after = (_median_step_ns(step) for step in steps)
    change = units.percent(abs(after - before), before)
    word = "less" if after < before else "more"
    return f"In these recordings the median {steps[0].name} takes {change} {word} time with {candidate.label}."


def _caution(comparison: Comparison) -> str:
    return "" if comparison.comparable else "But the runs are not like for like, as said below."


def _common_step(baseline: RunReport, candidate: RunReport) -> tuple[Span, Span] | None:
    """The numbered span that takes most time and is in both runs."""
    theirs = {span.name: span for span in candidate.spans if span.instances}
    shared = [span for span in baseline.spans if span.instances and span.name in theirs]
    if not shared:
        return None
    step = max(shared, key=lambda span: sum(step_ns(instance) for instance in span.instances))
    return step, theirs[step.name]


def _median_step_ns(span: Span) -> float:
    return median(step_ns(instance) for instance in span.instances)


def _mix_figure(comparison: Comparison) -> Figure:
    costliest = max(_telling(comparison), key=lambda row: row.baseline_count * row.baseline_p50_ns)
    return Figure(
        value=units.ratio(mix_speedup(comparison)),
        caption=f"speed-up of communication, {comparison.candidate} over {comparison.baseline}",
        detail=f"{call_name(costliest.op, costliest.message_bytes)}, the costliest: {units.ratio(costliest.speedup)}",
        term="mix",
    )


def _exposed_change_figure(baseline: RunReport, candidate: RunReport) -> Figure:
    before, after = window(baseline), window(candidate)
    ranks = max(1, len(baseline.ranks)), max(1, len(candidate.ranks))
    times = units.duration(before.exposed_comm_ns / ranks[0]), units.duration(after.exposed_comm_ns / ranks[1])
    return Figure(
        value=f"{_exposed_share(before)} → {_exposed_share(after)}",
        caption="of the window is exposed communication",
        detail=f"{times[0]} → {times[1]} a rank",
        term="exposed",
    )


def _step_figure(baseline: RunReport, candidate: RunReport) -> Figure:
    steps = _common_step(baseline, candidate)
    if steps is not None:
        before, after = (_median_step_ns(step) for step in steps)
        caption, detail = f"median {steps[0].name}", f"{units.plural(steps[0].count, 'execution')} in the baseline"
    else:
        spans = [window(run).span_ns // max(1, len(run.ranks)) for run in (baseline, candidate)]
        before, after = spans[0], spans[1]
        caption, detail = "mean window of a rank", "no step is marked in both runs"
    return Figure(
        value=f"{units.duration(before)} → {units.duration(after)}",
        caption=caption,
        detail=f"{units.ratio(before / after if after else None)}; {detail}",
        term="step" if steps else "span",
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
        value=_exposed_share(times),
        caption="of the window is exposed communication",
        detail=f"{units.duration(times.exposed_comm_ns / max(1, len(run.ranks)))} a rank",
        term="exposed",
    )


def _costliest_figure(run: RunReport, costliest: Operation) -> Figure:
    everything = sum(operation.duration_ns.sum for operation in run.operations)
    return Figure(
        value=units.duration(costliest.duration_ns.p50),
        caption=f"median {call_name(costliest.op, costliest.message_bytes)}",
        detail=f"{units.percent(costliest.duration_ns.sum, everything)} of the time in calls, "
        f"{units.plural(costliest.count, 'call')}",
        term="duration",
    )


def _wait_figure(run: RunReport) -> Figure:
    if not run.coverage.matched:
        return Figure(
            value=f"0 of {units.count(run.coverage.collectives)}",
            caption="calls are matched across ranks",
            detail="so waiting for peers cannot be told from transfer",
            term="matched",
        )
    waited = sum(operation.wait_ns.sum for operation in run.operations if operation.wait_ns)
    transferred = sum(operation.transfer_ns.sum for operation in run.operations if operation.transfer_ns)
    return Figure(
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
