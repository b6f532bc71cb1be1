import pytest

from tests.judges import scipy_stats
from traceana.comparing.student import two_sided_bound, two_sided_p


@pytest.mark.parametrize(
    ("p", "df", "t"),
    # From the table of critical values in NIST's e-Handbook of Statistical Methods, section 1.3.6.7.2.
    [(0.10, 1, 6.314), (0.05, 2, 4.303), (0.05, 4, 2.776), (0.01, 4, 4.604), (0.05, 30, 2.042), (0.002, 100, 3.174)],
)
def test_critical_values(p: float, df: float, t: float) -> None:
    assert two_sided_bound(p, df) == pytest.approx(t, abs=0.0006)
    assert two_sided_p(t, df) == pytest.approx(p, rel=2e-3)


def test_extremes() -> None:
    assert two_sided_p(0, 3) == 1
    assert two_sided_p(1e9, 3) == pytest.approx(0, abs=1e-20)
    assert two_sided_p(1.959964, 1e7) == pytest.approx(0.05, rel=1e-4)


def test_fractions_lie_between() -> None:
    assert two_sided_bound(0.05, 3) > two_sided_bound(0.05, 3.5) > two_sided_bound(0.05, 4)


DEGREES = (0.7, 1, 1.5, 2, 3.3, 4, 9.6, 30, 98, 998, 1e5)


@pytest.mark.parametrize("df", DEGREES)
def test_probabilities_are_scipys(df: float) -> None:
    for t in (0.001, 0.01, 0.5, 1, 1.96, 3, 8, 40, 1e4):
        for sign in (1, -1):
            assert two_sided_p(sign * t, df) == pytest.approx(2 * scipy_stats().t.sf(t, df), rel=1e-8, abs=1e-300)


@pytest.mark.parametrize("df", DEGREES)
def test_bounds_are_scipys(df: float) -> None:
    for p in (0.9, 0.4, 0.05, 0.01, 0.05 / 18, 1e-6):
        assert two_sided_bound(p, df) == pytest.approx(scipy_stats().t.isf(p / 2, df), rel=1e-8)
