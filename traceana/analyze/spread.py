"""How what is done with each of many ranks or groups is spread: all of it here, or over a pool's processes."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Spread(Protocol):
    """Results of a top-level function in the order of its items, of which a few are looked at ahead.

    An item that is not `worth` the way to another process need not be one that can be sent there.
    """

    def __call__(
        self, function: Callable[[Item], Result], items: Iterable[Item], worth: Callable[[Item], bool] = ..., /
    ) -> Iterator[Result]:
        """What the function makes of each."""


def always(_: object) -> bool:
    """Of any item."""
    return True


def here(
    function: Callable[[Item], Result], items: Iterable[Item], _worth: Callable[[Item], bool] = always, /
) -> Iterator[Result]:
    """In this process."""
    return map(function, items)
