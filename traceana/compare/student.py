"""Student's t distribution for any degrees of freedom.

The distribution function is the regularized incomplete beta function, by the continued fraction of Press et al.,
Numerical Recipes, 3rd edition, section 6.4, and Lentz's method.
"""

import functools
import math

_TINY = 1e-300
_MOST_TERMS = 10_000
_PRECISION = 1e-11


def two_sided_p(t: float, df: float) -> float:
    """The probability of a value at least as far from 0 as `t`."""
    return _incomplete_beta(df / (df + t * t), df / 2, 0.5)


@functools.lru_cache(maxsize=4096)
def two_sided_bound(p: float, df: float) -> float:
    """The t beyond which, on both sides together, lies the probability `p`; two_sided_p's inverse."""
    low, high = 0.0, 1.0
    while two_sided_p(high, df) > p:
        low, high = high, 2 * high
    for _ in range(45):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided_p(middle, df) > p else (low, middle)
    return high


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
