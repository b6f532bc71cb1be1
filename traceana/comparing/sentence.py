"""The verdict of a comparison in words: where, how much, what it is worth, and on what it stands."""

from collections.abc import Sequence

from traceana import units
from traceana.report import Comparison, ComparisonRow, StepComparison

METRIC_NAMES = {
    "request": "request",
    "step": "step",
    "exposed": "exposed communication a step",
    "perf request": "request (perf dump)",
    "perf step": "denoising step (perf dump)",
}
_MOST_NAMED = 3
"""Rows that a sentence names; of more than that it names two and counts the others."""


def sentence(comparison: Comparison) -> str:
    """The answer, and what qualifies it."""
    return f"{opening(comparison)} {qualification(comparison)}"


def opening(comparison: Comparison) -> str:
    """The answer in a sentence: where the candidate is faster or slower, and what that saves."""
    a, b, rows = comparison.baseline, comparison.candidate, comparison.payload
    if not rows:
        return " ".join([f"{a} and {b} have no operation in common.", *map(_describe, _decided(comparison)[:1])])
    if comparison.certain:
        return f"{b} is {_differences(comparison)}; {_worth(comparison)}."
    unsure = len(_with(rows, "cannot tell"))
    if unsure == len(rows) and comparison.one_run_a_side:
        return f"Whether {b} or {a} is faster, one run a side cannot tell; seen: {_named(comparison, rows)}."
    if unsure == len(rows):
        return f"Whether {b} or {a} is faster, these runs cannot tell."
    if not unsure:
        return f"{b} and {a} are equally fast at {_count(len(rows), rows)}."
    even = f"{b} and {a} are equally fast at {_count(len(rows) - unsure, rows)}; at the other {unsure}"
    if comparison.one_run_a_side:
        return f"{even} one run a side cannot tell; seen: {_named(comparison, _with(rows, 'cannot tell'))}."
    return f"{even} these runs cannot tell."


def qualification(comparison: Comparison) -> str:
    """What is not said by the answer: shares, where these runs cannot tell, end to end, and what intervals cover."""
    said = not comparison.payload and _decided(comparison)
    times = "" if said else _end_to_end(comparison)
    parts = (share_in_words(comparison), _unsure(comparison), times, _basis(comparison))
    return " ".join(part for part in parts if part)


def _with(rows: Sequence[ComparisonRow], verdict: str) -> list[ComparisonRow]:
    return [row for row in rows if row.verdict == verdict]


def _count(some: int, rows: Sequence[ComparisonRow]) -> str:
    """ "2 of 6 sizes", "all 6 sizes", "both sizes", "their only size"; operations where no row has a size."""
    noun = "size" if any(row.message_bytes is not None for row in rows) else "operation"
    if len(rows) == 1:
        return f"their only {noun}"
    every = "both" if len(rows) == 2 else f"all {len(rows)}"
    return f"{every} {noun}s" if some == len(rows) else f"{some} of {len(rows)} {noun}s"


def row_name(comparison: Comparison, row: ComparisonRow) -> str:
    """ "all_to_all 12 MiB", and "over 4 ranks" where the comparison has groups of several sizes."""
    name = units.sized(row.op, row.message_bytes)
    return f"{name} {units.over_ranks(row.group_size)}" if comparison.several_groups and row.group_size else name


def _differences(comparison: Comparison) -> str:
    """ "faster than torch at 2 of 6 sizes: … and …, and slower at 1: …"."""
    found = [(word, _with(comparison.payload, word)) for word in ("faster", "slower")]
    (word, chosen), *others = [(word, rows) for word, rows in found if rows]
    where = _count(len(chosen), comparison.payload)
    first = f"{word} than {comparison.baseline} at {where}: {_named(comparison, chosen)}"
    return ", and ".join([first, *(f"{word} at {len(rows)}: {_named(comparison, rows)}" for word, rows in others)])


def _named(comparison: Comparison, chosen: Sequence[ComparisonRow]) -> str:
    """ "all_to_all 12 MiB (1.30×) and all_gather 16 MiB (1.20×)"."""
    shown = chosen if len(chosen) <= _MOST_NAMED else chosen[:2]
    names = [f"{row_name(comparison, row)} ({units.ratio(row.speedup)})" for row in shown]
    if len(shown) < len(chosen):
        names.append(f"{len(chosen) - len(shown)} more")
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _worth(comparison: Comparison) -> str:
    worth, per = comparison.certain_worth_ns, comparison.worth_per
    if worth is None:
        return f"what that is worth a {per} is not known"
    if worth:
        return f"it {worth_in_words(worth, per)}"
    if comparison.overlap_price_known or _as_long_end_to_end(comparison):
        return "compute hides it, so nothing is saved"
    return "compute hides it, and whether that compute gets faster is not certain"


def _as_long_end_to_end(comparison: Comparison) -> bool:
    times = [one.verdict for one in _times(comparison)]
    return "no difference" in times and set(times) <= {"no difference", "cannot tell"}


def worth_in_words(worth_ns: int | None, worth_per: str) -> str:
    """What a difference is worth: "saves 2.10 ms a step"."""
    if worth_ns is None:
        return f"worth a {worth_per} not known"
    if not worth_ns:
        return f"changes nothing a {worth_per}"
    return f"{'saves' if worth_ns > 0 else 'costs'} {units.duration(abs(worth_ns))} a {worth_per}"


def share_in_words(comparison: Comparison) -> str:
    """What the certain differences are of the baseline's exposed communication; empty where that is not known."""
    before = sum(row.baseline_exposed_ns for row in comparison.payload)
    worth = abs(comparison.certain_worth_ns or 0)
    if not worth or not before:
        return ""
    return f"That is {units.percent(worth, before)} of {comparison.baseline}'s exposed communication."


def _unsure(comparison: Comparison) -> str:
    unsure = len(_with(comparison.payload, "cannot tell"))
    return f"At {_count(unsure, comparison.payload)} these runs cannot tell." if unsure and comparison.certain else ""


def _end_to_end(comparison: Comparison) -> str:
    times = _decided(comparison) or _times(comparison)
    return _describe(times[0]) if times else ""


def _decided(comparison: Comparison) -> list[StepComparison]:
    return [one for one in _times(comparison) if one.verdict != "cannot tell"]


def _times(comparison: Comparison) -> list[StepComparison]:
    return [one for one in comparison.end_to_end if one.metric != "exposed"]


def _describe(one: StepComparison) -> str:
    """One end-to-end time: "Step: 1.05× (95 % interval 1.03–1.07×), faster."."""
    interval = "" if one.ci_low is None else f" (95 % interval {units.ratio_range(one.ci_low, one.ci_high)})"
    name = METRIC_NAMES[one.metric]
    return f"{name[0].upper()}{name[1:]}: {units.ratio(one.speedup)}{interval}, {one.verdict}."


def _basis(comparison: Comparison) -> str:
    counts = len(comparison.baseline_runs), len(comparison.candidate_runs)
    if comparison.interval_basis == "repeats":
        return f"Intervals are over {counts[0]} and {counts[1]} runs."
    if comparison.one_run_a_side:
        return "One run a side does not show how runs differ, so nothing is called faster or slower."
    return f"With {counts[0]} and {counts[1]} runs, runs are taken to vary alike on both sides."
