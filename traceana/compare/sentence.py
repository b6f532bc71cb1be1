"""The verdict of a comparison in words: where, how much, what it is worth, and on what it stands."""

from traceana import units
from traceana.report import Comparison, ComparisonRow, StepComparison

METRIC_NAMES = {
    "request": "request",
    "step": "step",
    "exposed": "exposed communication a step",
    "perf request": "request (perf dump)",
    "perf step": "denoising step (perf dump)",
}


def sentence(comparison: Comparison) -> str:
    """Up to four sentences."""
    parts = (_calls(comparison), _worth(comparison), _end_to_end(comparison), _basis(comparison))
    return " ".join(part for part in parts if part)


def _calls(comparison: Comparison) -> str:
    a, b, rows = comparison.baseline, comparison.candidate, comparison.rows
    if not rows:
        return f"{a} and {b} have no operation in common."
    sized = any(row.message_bytes is not None for row in rows)
    cases = units.plural(len(rows), "combination") + " of operation and size" if sized else _operations(len(rows))
    told = [f"{word} at {_extent(rows, word)}" for word in ("faster", "slower") if _with(rows, word)]
    unsure = len(_with(rows, "cannot tell"))
    if unsure == len(rows):
        return f"Whether {b} or {a} is faster, these runs cannot tell."
    if told:
        lead = f"Of {cases}, {b} against {a} is {' and '.join(told)}"
        return f"{lead}; for {unsure} the runs cannot tell." if unsure else f"{lead}."
    if unsure:
        return f"{a} and {b} do not differ at {len(rows) - unsure} of {cases}; for {unsure} the runs cannot tell."
    return f"{a} and {b} do not differ at any of {cases}."


def _operations(count: int) -> str:
    return units.plural(count, "operation")


def _with(rows: tuple[ComparisonRow, ...], verdict: str) -> list[ComparisonRow]:
    return [row for row in rows if row.verdict == verdict]


def _extent(rows: tuple[ComparisonRow, ...], verdict: str) -> str:
    chosen = [row.speedup for row in _with(rows, verdict)]
    low, high = units.ratio(min(chosen)), units.ratio(max(chosen))
    return f"{len(chosen)} ({low if low == high else units.ratio_range(min(chosen), max(chosen))})"


def _worth(comparison: Comparison) -> str:
    certain = [row for row in comparison.rows if row.verdict in ("faster", "slower")]
    worth = sum(row.worth_ns for row in certain)
    if not certain:
        return ""
    if not worth:
        return "Compute covers the difference, so nothing is saved."
    before = sum(row.baseline_exposed_ns for row in comparison.rows)
    word = "saves" if worth > 0 else "costs"
    return (
        f"That {word} {units.duration(abs(worth))} of exposed communication a {comparison.worth_per} "
        f"({units.percent(abs(worth), before)})."
    )


def _end_to_end(comparison: Comparison) -> str:
    times = [one for one in comparison.end_to_end if one.metric != "exposed"]
    told = [one for one in times if one.verdict != "cannot tell"]
    return describe((told or times)[0]) if times else ""


def describe(one: StepComparison) -> str:
    """One end-to-end time: "step: 1.05× (95 % interval 1.03–1.07×), faster"."""
    interval = "" if one.ci_low is None else f" (95 % interval {units.ratio_range(one.ci_low, one.ci_high)})"
    name = METRIC_NAMES[one.metric]
    return f"{name[0].upper()}{name[1:]}: {units.ratio(one.speedup)}{interval}, {one.verdict}."


def _basis(comparison: Comparison) -> str:
    counts = len(comparison.baseline_runs), len(comparison.candidate_runs)
    if comparison.interval_basis == "repeats":
        return f"Intervals are over {counts[0]} and {counts[1]} runs."
    if max(counts) > 1:
        return f"With {counts[0]} and {counts[1]} runs, runs are taken to vary alike on both sides."
    return "With fewer than 3 runs a side, the intervals do not tell what another run would bring."
