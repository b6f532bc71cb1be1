"""The times of each cell, its warm-up among them only where it is like the others, and estimates of them."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from traceana.comparing.estimate import Difference, Estimate, difference, estimate, middle_ns, sample
from traceana.comparing.repeats import FEWEST_REPEATS
from traceana.comparing.student import two_sided_bound
from traceana.comparing.verdict import Case, Judgement
from traceana.sweep.journal import Record
from traceana.sweep.order import Kind
from traceana.sweep.report import Verdict

_UNLIKELY = 0.01
Times = Mapping[str, Mapping[int, int]]
"""By cell and repeat, in ns."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A cell's repeats in order, and its warm-up run, which counts where it is like them."""

    values_ns: tuple[int, ...]
    warm_up_ns: int | None
    warm_up_counts: bool

    @property
    def counted_ns(self) -> tuple[int, ...]:
        """All that count."""
        first = (self.warm_up_ns,) if self.warm_up_counts and self.warm_up_ns is not None else ()
        return first + self.values_ns

    @property
    def estimate(self) -> Estimate | None:
        """By repeats; None where they are too few."""
        return estimate([sample(np.array([ns])) for ns in self.counted_ns], by_repeats=True)

    @property
    def time_ns(self) -> int | None:
        """What stands for the cell."""
        return middle_ns([sample(np.array([ns])) for ns in self.counted_ns]) or None


def samples(records: Sequence[Record]) -> dict[str, Sample]:
    """Of every cell that has a time."""
    times = _times(records)
    spread, df = _spread(times)
    return {cell: _sample(values, spread, df) for cell, values in times.items()}


def case(baseline: Sample, candidate: Sample) -> Case:
    """The two as a case to judge."""
    runs = min(len(baseline.counted_ns), len(candidate.counted_ns))
    found = between(baseline, candidate)
    lack = None if found else f"{FEWEST_REPEATS} runs of each are needed; the fewer are {runs}"
    return Case(difference=found, lack=lack, runs=runs)


def between(baseline: Sample, candidate: Sample) -> Difference | None:
    """Baseline over candidate; None where one has too few runs."""
    a, b = baseline.estimate, candidate.estimate
    return difference(a, b) if a and b else None


def speedup(baseline: Sample, candidate: Sample) -> float:
    """The quotient of what stands for them."""
    a, b = baseline.time_ns, candidate.time_ns
    return a / b if a and b else 0.0


def verdict(quotient: float, its: Judgement) -> Verdict:
    """The report's."""
    return Verdict(
        speedup=quotient,
        ci_low=its.ci_low,
        ci_high=its.ci_high,
        p_value=its.p_value,
        verdict=its.verdict,
        reason=its.reason,
        runs_needed=its.runs_needed,
    )


def interval_ns(cell: Sample) -> tuple[int, int] | None:
    """95 % bounds of the cell's own time."""
    found = cell.estimate
    if found is None:
        return None
    reach = two_sided_bound(0.05, found.df) * math.sqrt(found.variance)
    return round(math.exp(found.log_ns - reach)), round(math.exp(found.log_ns + reach))


def _times(records: Sequence[Record]) -> Times:
    times: dict[str, dict[int, int]] = defaultdict(dict)
    for record in records:
        if record.kind == Kind.TIMED and record.value_ns is not None:
            times[record.cell][record.repeat] = record.value_ns
    return times


def _spread(times: Times) -> tuple[float, int]:
    """The variance within cells of the logarithms of repeats, of all cells together, and its degrees of freedom."""
    logs = [np.log([ns for repeat, ns in values.items() if repeat]) for values in times.values()]
    repeated = [values for values in logs if len(values) > 1]
    df = sum(len(values) - 1 for values in repeated)
    return (sum(float(values.var()) * len(values) for values in repeated) / df if df else 0.0), df


def _sample(values: Mapping[int, int], spread: float, df: int) -> Sample:
    repeats = tuple(ns for repeat, ns in sorted(values.items()) if repeat)
    first = values.get(0)
    return Sample(values_ns=repeats, warm_up_ns=first, warm_up_counts=_is_alike(first, repeats, spread, df))


def _is_alike(first: int | None, repeats: Sequence[int], spread: float, df: int) -> bool:
    """Whether the first run is where another repeat would be with 99 % chance: within the prediction interval."""
    if first is None or not repeats or not df:
        return False
    reach = two_sided_bound(_UNLIKELY, df) * math.sqrt(spread * (1 + 1 / len(repeats)))
    return abs(math.log(first) - float(np.log(repeats).mean())) <= reach
