"""Student's t distribution for any degrees of freedom.

The distribution function is the regularized incomplete beta function, by the continued fraction of Press et al.,
Numerical Recipes, 3rd edition, section 6.4, and Lentz's method.
"""

import functools
import math

_TINY = 1e-300
_MOST_TERMS = 10_000
_MOST_STEPS = 200
_PRECISION = 1e-11


def two_sided_p(t: float, df: float) -> float:
    """The probability of a value at least as far from 0 as `t`."""
    return _incomplete_beta(df / (df + t * t), df / 2, 0.5)


@functools.lru_cache(maxsize=4096)
def two_sided_bound(p: float, df: float) -> float:
    """The t beyond which, on both sides together, lies the probability `p`; two_sided_p's inverse.

    By Newton's method from 0: the probability falls ever more slowly, so that no step goes too far.
    """
    t = 0.0
    for _ in range(_MOST_STEPS):
        step = (two_sided_p(t, df) - p) / (2 * _density(t, df))
        t += step
        if step <= _PRECISION * t:
            break
    return t


def _density(t: float, df: float) -> float:
    height = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)
    return height * math.exp(-(df + 1) / 2 * math.log1p(t * t / df))


def _incomplete_beta(x: float, a: float, b: float) -> float:
    if x <= 0 or x >= 1:
        return float(x >= 1)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1) / (a + b + 2):
        return math.exp(log_front) * _fraction(x, a, b) / a
    return 1 - math.exp(log_front) * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
