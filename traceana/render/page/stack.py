"""Rows of bars under each other, in groups."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Generic[T]):
    """The rows of a group, each with its top; `middle` is where the group's label goes. In pixels."""

    middle: float
    rows: tuple[tuple[int, T], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack(Generic[T]):
    """All groups and the height that they take."""

    groups: tuple[Group[T], ...]
    height: int


def stack(groups: Iterable[list[T]], *, bar: int, gap: int) -> Stack[T]:
    """Place bars of one height, two pixels apart, with a larger gap between groups."""
    placed = []
    y = 0
    for group in groups:
        bottom = y + len(group) * (bar + 2)
        placed.append(
            Group(middle=(y + bottom) / 2 - 1, rows=tuple(zip(range(y, bottom, bar + 2), group, strict=True)))
        )
        y = bottom + gap
    return Stack(groups=tuple(placed), height=max(y - gap, 0))
