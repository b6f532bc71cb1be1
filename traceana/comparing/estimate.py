"""How much faster, and how sure: one estimate for repeats, for steps and for calls.

A side's times are logarithms of medians over units, and units are what noise strikes independently: repeats where
both sides have three or more, else stretches of consecutive steps or calls of a run (batch means, Law and Kelton,
Simulation Modeling and Analysis, chapter 9). The ratio of two sides has an interval by Student's t with Welch's
degrees of freedom. With three repeats a percentile bootstrap of repeats calls far more than 5 % of equal pairs
different, because three values cannot show their spread; Student's t accounts for that.
"""

import bisect
import math
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from traceana.comparing.repeats import FEWEST_REPEATS
from traceana.comparing.student import two_sided_bound, two_sided_p
from traceana.trace.columns import Ints

Floats = npt.NDArray[np.float64]

FEWEST_UNITS = 6
"""Steps or calls that a run must have before its own spread says something."""
# 10 to 30 batches, whatever the length (Schmeiser, Batch size effects, Operations Research 30, 1982).
_MOST_UNITS = 16
# The correlation of few units is itself unsure: never take more than 18 of 19 of them away.
_MOST_ALIKE = 0.9
# A clock of 1 ns cannot tell closer than this, relative to times of a millisecond.
_LEAST_VARIANCE = 1e-12
_POWER_T = 0.4
"""Two-sided probability beyond the t that gives a power of 80 %."""
# Nobody records more: "more than 500" says enough.
_MOST_RUNS = 500


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A side's logarithm of time from `runs` runs, the variance of a single run's value and its degrees of freedom.

    `between` is the variance from run to run, which `run_variance` holds only where repeats are the sample.
    """

    log_ns: float
    runs: int
    run_variance: float
    df: float
    between: float

    @property
    def ns(self) -> int:
        """The time that stands for the side."""
        return round(math.exp(self.log_ns))

    @property
    def variance(self) -> float:
        """Of the side's value."""
        return self.run_variance / self.runs


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """A standard error of a difference with its degrees of freedom; `run_variance` is that of one run a side."""

    error: float
    df: float
    run_variance: float


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Baseline over candidate as a logarithm. Of several spreads each must allow a verdict: the widest counts."""

    log_ratio: float
    spreads: tuple[Spread, ...]

    @property
    def p_value(self) -> float:
        """Against "equally fast", for this difference alone."""
        return max(two_sided_p(self.log_ratio / spread.error, spread.df) for spread in self.spreads)

    def interval(self) -> tuple[float, float]:
        """95 % bounds of the speed-up."""
        reach = max(two_sided_bound(0.05, spread.df) * spread.error for spread in self.spreads)
        return math.exp(self.log_ratio - reach), math.exp(self.log_ratio + reach)

    def runs_needed(self, log_effect: float, p: float) -> int | None:
        """Runs a side that find `log_effect` with a power of 80 % where `p` is asked for; None beyond 500."""

        run_variance = max(spread.run_variance for spread in self.spreads)

        def enough(runs: int) -> bool:
            df = 2 * runs - 2
            reach = two_sided_bound(p, df) + two_sided_bound(_POWER_T, df)
            return reach * math.sqrt(run_variance / runs) <= log_effect

        found = bisect.bisect_left(range(FEWEST_REPEATS, _MOST_RUNS + 1), True, key=enough) + FEWEST_REPEATS
        return found if found <= _MOST_RUNS else None


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One run's logarithms of times in ns, and for each the number of its step or call in order of time, from 0."""

    log_ns: Floats
    unit: Ints

    def __len__(self) -> int:
        return len(self.log_ns)


def sample(times_ns: Ints, unit: Ints | None = None) -> Sample:
    """`times_ns` in order of time; `unit` are step numbers, -1 for a time that is a unit by itself.

    Where there are too few steps to be units, every time is one.
    """
    log_ns = np.log(np.maximum(times_ns, 1).astype(np.float64))
    each = np.arange(len(times_ns))
    if unit is None:
        return Sample(log_ns=log_ns, unit=each)
    alone = unit.max(initial=0) + 1 + each
    _, first, index = np.unique(np.where(unit < 0, alone, unit), return_index=True, return_inverse=True)
    if np.count_nonzero(unit[first] >= 0) < FEWEST_UNITS:
        return Sample(log_ns=log_ns, unit=each)
    order = np.empty(len(first), dtype=np.int64)
    order[np.argsort(first, kind="stable")] = each[: len(first)]
    return Sample(log_ns=log_ns, unit=order[index])


def estimate(runs: Sequence[Sample], *, by_repeats: bool) -> Estimate | None:
    """One side from its runs; None where there is too little to tell."""
    units = [_units(run) for run in runs if len(run)]
    if not units or (by_repeats and len(units) < FEWEST_REPEATS):
        return None
    if not by_repeats and sum(map(len, units)) < FEWEST_UNITS:
        return None
    values = np.array([unit.mean() for unit in units])
    sizes = [len(unit) if by_repeats else _independent(unit) for unit in units]
    within = float(np.mean([_variance(unit) / size for unit, size in zip(units, sizes, strict=True)]))
    between = _variance(values)
    # Repeats that agree better than their own calls allow do so by chance.
    return Estimate(
        log_ns=float(values.mean()),
        runs=len(values),
        run_variance=max(between if by_repeats else 0.0, within, _LEAST_VARIANCE),
        df=len(values) - 1 if by_repeats else max(sum(sizes) - len(sizes), 1),
        between=between,
    )


def difference(baseline: Estimate, candidate: Estimate) -> Difference:
    """The ratio of two sides, by their own spreads and, where one has too few runs to show it, by how runs differ."""
    spreads = [_own(baseline, candidate)]
    fewest, most = sorted((baseline.runs, candidate.runs))
    if fewest < FEWEST_REPEATS and most > 1:
        spreads.append(_from_run_to_run(baseline, candidate))
    return Difference(log_ratio=baseline.log_ns - candidate.log_ns, spreads=tuple(spreads))


def _own(baseline: Estimate, candidate: Estimate) -> Spread:
    """Degrees of freedom by Welch and Satterthwaite."""
    a, b = baseline.variance, candidate.variance
    return Spread(
        error=math.sqrt(a + b),
        df=(a + b) ** 2 / (a * a / baseline.df + b * b / candidate.df),
        run_variance=baseline.run_variance + candidate.run_variance,
    )


def _from_run_to_run(baseline: Estimate, candidate: Estimate) -> Spread:
    """Both sides' runs are taken to differ alike, so that one of few runs borrows from the other: Student's test."""
    df = baseline.runs + candidate.runs - 2
    squares = (baseline.runs - 1) * baseline.between + (candidate.runs - 1) * candidate.between
    spread = max(squares / df, _LEAST_VARIANCE)
    return Spread(error=math.sqrt(spread / baseline.runs + spread / candidate.runs), df=df, run_variance=2 * spread)


def middle_ns(runs: Sequence[Sample]) -> int:
    """The time that stands for a side of which no estimate can be made; 0 where it has none."""
    middles = [float(np.median(run.log_ns)) for run in runs if len(run)]
    return round(math.exp(float(np.mean(middles)))) if middles else 0


def _units(run: Sample) -> Floats:
    """Medians of at most 16 stretches of consecutive steps or calls: short enough to be many, long enough to differ."""
    count = int(run.unit.max()) + 1
    stretch = run.unit * min(count, _MOST_UNITS) // count
    order = np.lexsort((run.log_ns, stretch))
    ordered, sizes = run.log_ns[order], np.bincount(stretch)
    first = np.cumsum(sizes) - sizes
    return np.asarray((ordered[first + (sizes - 1) // 2] + ordered[first + sizes // 2]) / 2)


def _independent(units: Floats) -> float:
    """How many independent units these are worth: neighbours that are alike say less, n (1 − r) / (1 + r).

    The sample's r of lag one is too low by about (1 + 3 r) / n (Kendall, Note on bias in the estimation of
    autocorrelation, Biometrika 41, 1954), which is put back.
    """
    n = len(units)
    centred = units - units.mean()
    square = float(centred @ centred)
    if n < FEWEST_UNITS or not square:
        return n
    alike = (float(centred[1:] @ centred[:-1]) / square * n + 1) / (n - 3)
    alike = min(max(alike, 0.0), _MOST_ALIKE)
    return n * (1 - alike) / (1 + alike)


def _variance(values: Floats) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0
