"""Spreads of durations."""

import msgspec


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """Nearest-rank percentiles of some durations, in ns."""

    min: int
    p50: int
    p95: int
    p99: int
    max: int
    sum: int


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over logarithmic bins: `edges_ns` has one more entry than `counts`."""

    edges_ns: tuple[int, ...]
    counts: tuple[int, ...]
