"""Integer columns that take as little memory as their values need: long traces and large runs have many of each."""

import numpy as np

from traceana.trace.columns import Ints

_WIDTHS = (np.int8, np.int16, np.int32, np.int64)


class Column:
    """A column of `length` integers, `fill` where nothing is put; wider only once a value needs it.

    `least` bytes are taken for each at any rate: sums and differences of two durations must fit, too.
    """

    def __init__(self, length: int, fill: int = 0, least: int = 2) -> None:
        self._least = least
        self._values = (
            np.full(length, fill, _width(fill, fill, least)) if fill else np.zeros(length, _width(0, 0, least))
        )

    def put(self, where: slice | Ints, values: Ints) -> None:
        """Set the values of some rows; nothing may point at a column that is still being filled."""
        if values.size:
            needed = _width(int(values.min()), int(values.max()), self._least)
            if np.dtype(needed).itemsize > self._values.dtype.itemsize:
                self._values = self._values.astype(needed)
            self._values[where] = values

    @property
    def values(self) -> Ints:
        """All of it."""
        return np.asarray(self._values)


def _width(low: int, high: int, least: int) -> type[np.integer]:
    """The narrowest type in which the values, and twice as large ones, fit."""
    for width in _WIDTHS:
        bounds = np.iinfo(width)
        if np.dtype(width).itemsize >= least and bounds.min <= 2 * low and 2 * high <= bounds.max:
            return width
    return np.int64


def narrow(values: Ints, least: int = 4) -> Ints:
    """The same values, of `least` bytes each where they fit."""
    bounds = (int(values.min()), int(values.max())) if values.size else (0, 0)
    return np.asarray(values.astype(_width(*bounds, least)))
