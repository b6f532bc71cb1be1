"""Columns that grow while a file is read, in as few bytes as their values need."""

from array import array
from collections.abc import Sequence

import numpy as np

from traceana.trace.columns import HostRows, Ints
from traceana.trace.narrow import narrow

_MOST_SINGLE = 1 << 12
"""Values of rows added one by one that are kept as they come, of eight bytes each."""


class Rows:
    """Rows of `width` integers; many at once are cheap, one at a time is what few events need."""

    def __init__(self, width: int) -> None:
        self._blocks: list[list[Ints]] = [[] for _ in range(width)]
        self._single = array("q")

    def add(self, *values: int) -> None:
        """One row; raises OverflowError where a value is no int64, and then adds nothing."""
        self._single.extend(array("q", values))
        if len(self._single) >= _MOST_SINGLE:
            self._settle()

    def extend(self, *columns: Ints | Sequence[int]) -> None:
        """A row for each place of the columns, which are equally long. Raises as `add` does."""
        self._settle()
        self._append(np.array(columns, dtype=np.int64))

    def __bool__(self) -> bool:
        return bool(self._blocks[0] or self._single)

    def take(self) -> list[Ints]:
        """All rows, column by column, which are not kept here any longer."""
        self._settle()
        return [_joined(blocks) for blocks in self._blocks]

    def _settle(self) -> None:
        if self._single:
            self._append(np.array(self._single, dtype=np.int64).reshape(-1, len(self._blocks)).T)
            self._single = array("q")

    def _append(self, columns: Ints) -> None:
        if columns.size:
            for blocks, column in zip(self._blocks, columns, strict=True):
                blocks.append(narrow(column, least=1))


def _joined(blocks: list[Ints]) -> Ints:
    # Of one column at a time both the blocks and the whole are in memory.
    column: Ints = np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.int64)
    blocks.clear()
    return column


class SpanRows(Rows):
    """Start, duration, thread and key of spans on the host, which become HostRows."""

    def __init__(self) -> None:
        super().__init__(4)

    def finish(self, base_ns: int) -> HostRows:
        """The rows so far, their times counted from `base_ns`."""
        start, duration, thread, key = self.take()
        start_ns = times(start, base_ns)
        return HostRows(start_ns=start_ns, end_ns=start_ns + duration, thread=thread, key=key)


def times(column: Ints, base_ns: int) -> Ints:
    """The column's times counted from `base_ns`, in its own memory where it is wide enough."""
    wide = column.astype(np.int64, copy=False)
    wide += base_ns
    return wide
