"""From differences to verdicts, with false alarms held at 5 % over all differences of a comparison.

Holm's step-down procedure (A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics
6, 1979) keeps the chance of even one false "faster" or "slower" in a comparison at 5 %, whatever depends on what.
"""

import math
from collections.abc import Sequence

import msgspec

from traceana import units
from traceana.comparing.estimate import Difference
from traceana.comparing.repeats import FEWEST_REPEATS

FALSE_ALARMS = 0.05
SMALLEST_RELEVANT = 0.01
"""A difference below 1 % is no difference, however certain."""
MUST_BE_SEEN = 0.05
""""No difference" is said only where the interval rules out 5 % either way; else the runs cannot tell."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to judge. `difference` None comes with `lack`, why there is none; `doubt` says why it means nothing."""

    difference: Difference | None
    lack: str | None = None
    doubt: str | None = None
    runs: int = 1
    """Runs on the side that has fewer."""
    alone: bool = False
    """One run a side: how runs of one program differ is not seen, so nothing is faster or slower."""
    smallest: float = 0.0
    """A difference of less than this share is none, though SMALLEST_RELEVANT be less."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """See ComparisonRow for the fields."""

    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    verdict: str = "cannot tell"
    reason: str | None = None
    runs_needed: int | None = None


def judge(cases: Sequence[Case]) -> list[Judgement]:
    """A verdict for each case; all of them are one family."""
    tested = [i for i, case in enumerate(cases) if case.difference and not case.doubt]
    adjusted = dict(zip(tested, holm([_p_value(cases[i]) for i in tested]), strict=True))
    return [_judgement(case, adjusted.get(i), len(tested)) for i, case in enumerate(cases)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: rejecting those below 5 % keeps the family's false alarms at 5 %."""
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _p_value(case: Case) -> float:
    assert case.difference is not None
    return case.difference.p_value


def _judgement(case: Case, p_value: float | None, family: int) -> Judgement:
    if case.difference is None:
        return Judgement(reason=case.lack, runs_needed=FEWEST_REPEATS if case.runs < FEWEST_REPEATS else None)
    low, high = case.difference.interval()
    if p_value is None:
        return Judgement(ci_low=low, ci_high=high, reason=case.doubt, runs_needed=_runs_needed(case, 1))
    verdict = _verdict(case, p_value)
    needed = _runs_needed(case, family) if verdict == "cannot tell" else None
    return Judgement(
        ci_low=low,
        ci_high=high,
        p_value=None if case.alone else p_value,
        verdict=verdict,
        reason=_undecided(case, p_value, family, needed) if verdict == "cannot tell" else None,
        runs_needed=needed,
    )


def _verdict(case: Case, p_value: float) -> str:
    assert case.difference is not None
    log_ratio, (low, high) = case.difference.log_ratio, case.difference.interval()
    certain, relevant = p_value < FALSE_ALARMS, abs(log_ratio) >= math.log1p(max(SMALLEST_RELEVANT, case.smallest))
    if certain and relevant:
        return "cannot tell" if case.alone else "faster" if log_ratio > 0 else "slower"
    room = 1 + _room(case)
    return "no difference" if certain or 1 / room < low <= high < room else "cannot tell"


def _runs_needed(case: Case, family: int) -> int | None:
    """Runs a side that would find the difference as it looks now, or one of 5 % where it looks smaller."""
    assert case.difference is not None
    effect = max(abs(case.difference.log_ratio), math.log1p(MUST_BE_SEEN))
    needed = case.difference.runs_needed(effect, FALSE_ALARMS / max(family, 1))
    return None if needed is None else max(needed, case.runs + 1)


def _undecided(case: Case, p_value: float, family: int, needed: int | None) -> str:
    # A run by itself shows how its calls differ, not how runs do.
    about = "at least" if case.runs < FEWEST_REPEATS else "about"
    more = "more than 500 runs" if needed is None else f"{about} {units.plural(needed, 'run')}"
    return f"{_why_undecided(case, p_value, family)}; {more} a side would settle it"


def _why_undecided(case: Case, p_value: float, family: int) -> str:
    assert case.difference is not None
    low, high = case.difference.interval()
    if case.alone and p_value < FALSE_ALARMS:
        return f"seen {units.ratio(math.exp(case.difference.log_ratio))}, one run a side"
    if low > 1 or high < 1:
        return f"certain by itself, but not among {units.plural(family, 'comparison')}"
    return f"the interval {units.ratio_range(low, high)} leaves room for {units.percent(_room(case), 1)} or more"


def _room(case: Case) -> float:
    """The share that "no difference" must rule out."""
    return max(MUST_BE_SEEN, case.smallest)
