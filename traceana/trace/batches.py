"""Complete events sorted by their category, so that a reader handles many of one kind at once."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from traceana.trace.columns import Bools, Ints
from traceana.trace.events import Event
from traceana.trace.table import Table, Thread, renumbered


class Batch(NamedTuple):
    """Events of one category in file order: `rows` of a table, shape (events,)."""

    table: Table
    rows: Ints
    left_out: int = 0
    """How many others had no start, or a length of months."""

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, places: Ints | Bools) -> "Batch":
        """Some of the events, by their places or by whether each is wanted."""
        return Batch(self.table, self.rows[places])

    @property
    def start(self) -> Ints:
        """In ns from the file's base."""
        return self.table.start[self.rows]

    @property
    def duration(self) -> Ints:
        """In ns."""
        return self.table.duration[self.rows]

    def names(self, numbers: dict[str, int], told: Callable[[str], str] = str) -> Ints:
        """The number of each event's name, or of what is `told` of it, in a numbering that grows."""
        return renumbered(self.table.name[self.rows], self.table.names, numbers, told)

    def threads(self, numbers: dict[Thread, int]) -> Ints:
        """The number of each event's thread in a numbering that grows."""
        return renumbered(self.table.thread[self.rows], self.table.threads, numbers)

    def by_name(self, tell: Callable[[str], int]) -> Ints:
        """What is told of each event's name, asked once for each name."""
        codes = self.table.name[self.rows]
        told = np.zeros(len(self.table.names), dtype=np.int64)
        for code in np.unique(codes).tolist():
            told[code] = tell(self.table.names[code])
        return told[codes]

    def each(self) -> Iterator[tuple[Event, int, int]]:
        """One event after the other, with start and duration."""
        table = self.table
        for row, start, duration in zip(self.rows.tolist(), self.start.tolist(), self.duration.tolist(), strict=True):
            name, thread = table.names[table.name[row]], table.threads[table.thread[row]]
            yield Event(name=name, tid=thread, args=table.arguments(row)), start, duration


def batches(table: Table) -> dict[str, Batch]:
    """Complete events by category."""
    found: dict[str, int] = {}
    category = renumbered(table.category, table.names, found)
    return {name: _batch(table, np.flatnonzero(category == number)) for name, number in found.items()}


def _batch(table: Table, rows: Ints) -> Batch:
    good = rows[table.good[rows]]
    return Batch(table, good, len(rows) - len(good))
