"""Spreads of durations."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Nearest-rank percentiles of some durations, in ns."""

    min: int
    p50: int
    p95: int
    p99: int
    max: int
    sum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Counts over logarithmic bins: `edges_ns` has one more entry than `counts`."""

    edges_ns: tuple[int, ...]
    counts: tuple[int, ...]
