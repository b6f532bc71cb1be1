"""Summaries of durations."""

import numpy as np

from traceana.report import Distribution, Histogram
from traceana.trace.columns import Ints

_BINS = 40


def sums(code: Ints, values: Ints, codes: int) -> Ints:
    """For each of `codes` the sum of its values: in double precision, exact below 2^53 ns, which is 104 days."""
    return np.asarray(np.rint(np.bincount(code, weights=values, minlength=codes)), dtype=np.int64)


def distribution(values: Ints) -> Distribution:
    """Nearest-rank percentiles, so that every figure is one that was measured; `values` is not empty."""
    ordered = np.sort(values)
    p50, p95, p99 = (int(ordered[max(int(np.ceil(len(ordered) * q)) - 1, 0)]) for q in (0.5, 0.95, 0.99))
    return Distribution(min=int(ordered[0]), p50=p50, p95=p95, p99=p99, max=int(ordered[-1]), sum=int(ordered.sum()))


def histogram(values: Ints) -> Histogram:
    """Counts over at most 40 logarithmic bins between the smallest and the largest value."""
    low, high = max(int(values.min()), 1), max(int(values.max()), 1) + 1
    edges = np.unique(np.geomspace(low, high, _BINS + 1).round().astype(np.int64))
    if len(edges) < 2:
        edges = np.array([low, low + 1], dtype=np.int64)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)
    return Histogram(edges_ns=tuple(edges.tolist()), counts=tuple(counts.tolist()))
