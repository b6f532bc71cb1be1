"""Lost time in parts: disjoint sets of time, one a cause, in the order of the report's fields."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from traceana.analyze.intervals import Intervals, covered, union
from traceana.report import ExposedIs, IdleBy, LateBy, UncoveredBy
from traceana.trace.columns import Ints

Parts = tuple[Intervals, ...]
Cause = TypeVar("Cause", ExposedIs, UncoveredBy, IdleBy, LateBy)


def parts_of(start: Ints, end: Ints, cause: Ints, causes: int) -> Parts:
    """Disjoint stretches, each with the number of its cause, as one set a cause."""
    return tuple(union(start[cause == one], end[cause == one]) for one in range(causes))


def over_window(kind: type[Cause], parts: Parts) -> Cause:
    """The whole of each part."""
    return named(kind, [part.length for part in parts])


def within(parts: Parts, start: Ints, end: Ints) -> Ints:
    """For each interval [start, end) a row of the ns that each part has in it: shape (intervals, parts)."""
    return np.stack([covered(start, end, part) for part in parts], axis=1)


def named(kind: type[Cause], lengths: Sequence[int]) -> Cause:
    """The report's value for lengths in the order of its fields."""
    names = kind.__struct_fields__
    return kind(**dict(zip(names, (int(length) for length in lengths), strict=True)))


def rounded(parts: npt.NDArray[np.float64], whole: int) -> list[int]:
    """Integers that add up to `whole`, each next to its part: the largest remainders are rounded up."""
    floors = np.floor(parts).astype(np.int64)
    left = whole - int(floors.sum())
    floors[np.argsort(floors - parts, kind="stable")[:left]] += 1
    return [int(part) for part in floors]
