"""Rows of bars under each other, in groups."""

from collections.abc import Iterable
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Group(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """The rows of a group, each with its top; `middle` is where the group's label goes. In pixels."""

    middle: float
    rows: tuple[tuple[int, T], ...]


class Stack(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
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
