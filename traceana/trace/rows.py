"""Columns that grow while a file is read."""

from array import array
from collections.abc import Sequence

import numpy as np

from traceana.trace.columns import HostRows, Ints


class Rows:
    """Rows of int64 values, `width` in each; many at once are cheap, one at a time is what few events need."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._blocks: list[Ints] = []
        self._single = array("q")

    def add(self, *values: int) -> None:
        """One row; raises OverflowError where a value is no int64, and then adds nothing."""
        self._single.extend(array("q", values))

    def extend(self, *columns: Ints | Sequence[int]) -> None:
        """A row for each place of the columns, which are equally long."""
        self._settle()
        self._blocks.append(np.array(columns, dtype=np.int64).T)

    def __bool__(self) -> bool:
        return bool(self._blocks or self._single)

    def columns(self) -> Ints:
        """Shape (width, rows)."""
        self._settle()
        columns: Ints = np.concatenate(self._blocks or [np.empty((0, self._width), dtype=np.int64)]).T.copy()
        return columns

    def _settle(self) -> None:
        if self._single:
            self._blocks.append(np.array(self._single, dtype=np.int64).reshape(-1, self._width))
            self._single = array("q")


class SpanRows(Rows):
    """Start, end, thread and key of spans on the host, which become HostRows."""

    def __init__(self) -> None:
        super().__init__(4)

    def finish(self, base_ns: int) -> HostRows:
        """The rows so far, their times counted from `base_ns`."""
        start, end, thread, key = self.columns()
        return HostRows(start_ns=start + base_ns, end_ns=end + base_ns, thread=thread, key=key)
