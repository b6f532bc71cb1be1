import math

import numpy as np
import pytest

from tests.judges import scipy_stats
from traceana.comparing.estimate import Difference, Sample, Spread, difference, estimate, middle_ns, sample


def of(*times: float) -> Sample:
    return sample(np.array(times, dtype=np.int64))


def test_repeats_are_welchs_t_on_their_medians() -> None:
    a = estimate([of(99, 100, 101), of(110, 110, 500), of(105, 105)], by_repeats=True)
    b = estimate([of(90), of(95), of(91)], by_repeats=True)
    assert a is not None
    assert b is not None
    logs = np.log([90, 95, 91])
    assert b.log_ns == pytest.approx(logs.mean())
    assert b.variance == pytest.approx(logs.var(ddof=1) / 3)
    assert b.df == 2
    (spread,) = difference(a, b).spreads
    assert spread.error == pytest.approx(math.sqrt(a.variance + b.variance))
    assert 2 <= spread.df <= 4


def test_repeats_agree_no_better_than_their_calls_allow() -> None:
    noise = np.random.default_rng(1).normal(0, 0.2, 40)
    run = sample((1e6 * np.exp(noise)).astype(np.int64))
    same = estimate([run] * 3, by_repeats=True)
    assert same is not None
    assert same.variance > 0.0001


def test_a_step_counts_once_however_many_calls_it_has() -> None:
    steps = np.repeat(np.arange(8), 50)
    times = np.repeat(np.array([100, 120, 90, 110, 105, 95, 130, 100]) * 1000, 50)
    by_step = estimate([sample(times, steps)], by_repeats=False)
    one_call_a_step = estimate([sample(times[::50])], by_repeats=False)
    assert by_step == one_call_a_step
    assert by_step is not None
    assert by_step.df <= 7


def test_calls_that_are_alike_say_less() -> None:
    noise = np.random.default_rng(2).normal(0, 0.05, 160)
    apart = estimate([sample((1e6 * np.exp(noise)).astype(np.int64))], by_repeats=False)
    together = estimate([sample((1e6 * np.exp(np.sort(noise))).astype(np.int64))], by_repeats=False)
    assert apart is not None
    assert together is not None
    assert together.variance > 5 * apart.variance
    assert together.df < apart.df


def test_too_little_gives_none() -> None:
    assert estimate([of(1, 2, 3, 4, 5)], by_repeats=False) is None
    assert estimate([of(1, 2, 3, 4, 5, 6)], by_repeats=False) is not None
    assert estimate([of(1), of(2)], by_repeats=True) is None
    assert estimate([], by_repeats=False) is None
    assert estimate([of(), of()], by_repeats=False) is None


def test_equal_times_are_equally_fast() -> None:
    side = estimate([of(*[300_000] * 10)], by_repeats=False)
    assert side is not None
    assert side.ns == 300_000
    assert difference(side, side).p_value == 1
    assert middle_ns([of(7)]) == 7
    assert middle_ns([of()]) == 0


def test_runs_needed_by_the_formula_for_two_means() -> None:
    """Lehr's rule of thumb (Statistics in Medicine 11, 1992): 16 variances over the squared effect, for 80 % at 5 %."""
    sd = 0.02
    found = Difference(log_ratio=0.0, spreads=(Spread(error=0.01, df=4, run_variance=2 * sd**2),))
    assert found.runs_needed(0.01, 0.05) == pytest.approx(16 * sd**2 / 0.01**2, abs=2)
    assert found.runs_needed(0.2, 0.05) == 3
    assert found.runs_needed(0.0001, 0.05) is None


@pytest.mark.parametrize("p", [0.05, 0.01, 0.05 / 18])
@pytest.mark.parametrize("effects", [0.3, 0.5, 1.0, 1.7, 3.0])
def test_runs_needed_have_the_power_that_scipy_gives_them(effects: float, p: float) -> None:
    """`effects` are standard deviations of a run; the exact power is that of the noncentral t, ours approximates it."""
    sd = 0.02
    found = Difference(log_ratio=0.0, spreads=(Spread(error=0.01, df=4, run_variance=2 * sd**2),))
    runs = found.runs_needed(effects * sd, p)
    assert runs is not None
    exact = next(count for count in range(3, 501) if power(effects, count, p) >= 0.8)
    assert abs(runs - exact) <= 1


def power(effects: float, runs: int, p: float) -> float:
    """Of the two-sided t test with equal variances, for `runs` a side."""
    df, shift = 2 * runs - 2, effects * math.sqrt(runs / 2)
    critical = scipy_stats().t.isf(p / 2, df)
    return float(scipy_stats().nct.sf(critical, df, shift) + scipy_stats().nct.cdf(-critical, df, shift))


@pytest.mark.parametrize(("runs", "df"), [((2, 2), 2), ((1, 3), 2), ((1, 10), 9), ((2, 10), 10)])
def test_few_runs_that_differ_are_no_more_certain_than_they_are_alike(runs: tuple[int, int], df: int) -> None:
    random = np.random.default_rng(3)
    sides = [
        estimate(
            [of(*random.normal(scale, scale / 1000, 40)) for scale in random.normal(1e6, 3e4, count)], by_repeats=False
        )
        for count in runs
    ]
    assert sides[0] is not None
    assert sides[1] is not None
    found = difference(sides[0], sides[1])
    own, between = found.spreads
    assert between.df == df
    assert between.error > 5 * own.error
    assert found.p_value > 0.01
    # The values themselves lie within ten per cent, and so should what is said of them.
    low, high = found.interval()
    assert low < 1 < high


def test_two_lone_runs_have_only_their_own_spread() -> None:
    lone = estimate([of(*[300_000, 310_000] * 10)], by_repeats=False)
    assert lone is not None
    assert len(difference(lone, lone).spreads) == 1
