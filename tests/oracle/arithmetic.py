"""Unions of intervals, percentiles, and what nccl-tests calls a size and a bus bandwidth."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

Interval = tuple[int, int]


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same time as intervals apart from each other, in order."""
    apart: list[Interval] = []
    for start, end in sorted(intervals):
        if apart and start <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(apart[-1][1], end))
        else:
            apart.append((start, end))
    return apart


def length(intervals: Iterable[Interval]) -> int:
    return sum(end - start for start, end in union(intervals))


def common(left: Iterable[Interval], right: Iterable[Interval]) -> list[Interval]:
    """The time in both."""
    found, others = [], union(right)
    for start, end in union(left):
        found += [(max(start, a), min(end, b)) for a, b in others if a < end and start < b]
    return found


def without(left: Iterable[Interval], right: Iterable[Interval]) -> list[Interval]:
    """The time in `left` that is not in `right`."""
    shared = common(left, right)
    edges = sorted({edge for interval in (*union(left), *shared) for edge in interval})
    inside = [(a, b) for a, b in pairwise(edges) if common([(a, b)], left)]
    return [(a, b) for a, b in inside if not common([(a, b)], shared)]


def nearest_rank(values: Sequence[int], percent: int) -> int:
    """The smallest value that at least so many percent of the values do not exceed."""
    ordered = sorted(values)
    place = -(-len(ordered) * percent // 100)
    return ordered[max(place, 1) - 1]


def spread(values: Sequence[int]) -> dict[str, int]:
    """A Distribution."""
    percentiles = {f"p{percent}": nearest_rank(values, percent) for percent in (50, 95, 99)}
    return {"min": min(values), **percentiles, "max": max(values), "sum": sum(values)}


ITEM_BYTES = {
    "Float": 4, "Double": 8, "Half": 2, "BFloat16": 2, "Int": 4, "Long": 8, "Byte": 1, "Char": 1, "Bool": 1,
    "Short": 2, "Float8_e4m3fn": 1, "Float8_e5m2": 1,
}  # fmt: skip


def message_bytes(op: str, dtype: str | None, sent: int | None, received: int | None, ranks: int | None) -> int | None:
    """The buffer; of gathers and scatters the whole over all ranks; of an all-to-all what a rank sends."""
    item = ITEM_BYTES.get(dtype or "")
    if op in ("all_gather", "gather"):
        nelems = received if op == "all_gather" and received else sent * ranks if sent and ranks else received
    elif op in ("reduce_scatter", "scatter"):
        nelems = received * ranks if received and ranks else sent
    elif op == "barrier":
        nelems = None
    else:
        nelems = sent or received
    return item * nelems if item and nelems else None


def bus_factor(op: str, ranks: int) -> float:
    """Bus over algorithm bandwidth."""
    if op == "all_reduce":
        return 2 * (ranks - 1) / ranks
    scattering = op in ("all_gather", "reduce_scatter", "all_to_all", "gather", "scatter")
    return (ranks - 1) / ranks if scattering else 1.0
