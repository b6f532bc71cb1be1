import numpy as np
import pytest

from traceana.analyze.compare import _expected, _interval, _verdict


def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(7)
    held = 0
    for _ in range(300):
        a, b = (np.round(random.lognormal(mean, 0.1, 41) * 1e6).astype(np.int64) for mean in (0.0, np.log(0.8)))
        low, high = _interval(a, b)
        assert low is not None
        assert high is not None
        held += low <= 1 / 0.8 <= high
    assert 0.90 <= held / 300 <= 0.99


def test_the_quick_bootstrap_agrees_with_resampling() -> None:
    random = np.random.default_rng(3)
    a, b = (np.sort(random.integers(1000, 2000, 51)) for _ in range(2))
    draws = [np.median(random.choice(a, 51)) / np.median(random.choice(b, 51)) for _ in range(4000)]
    assert _interval(a, b) == pytest.approx(tuple(np.quantile(draws, (0.025, 0.975))), rel=0.03)


def test_too_few_calls_give_no_interval_and_no_verdict() -> None:
    few, many = np.full(7, 100), np.full(50, 200)
    assert _interval(few, many) == (None, None)
    assert _verdict(None, None) == "cannot tell"


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(1.1, 1.3, "faster"), (0.7, 0.9, "slower"), (0.9, 1.1, "no difference")]
)
def test_verdicts(low: float, high: float, verdict: str) -> None:
    assert _verdict(low, high) == verdict


@pytest.mark.parametrize(
    ("size", "low", "high"),
    [(1000, 1.0, 1 / 0.9), (5 << 20, 1 / 0.9, 1 / 0.7), (50 << 20, 1 / 0.7, 2.0), (None, None, None)],
)
def test_the_guides_expected_range(size: int | None, low: float | None, high: float | None) -> None:
    assert _expected(size) == pytest.approx((low, high))
