"""What the arguments of many events say: numbers as columns, all else one event at a time."""

from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np

from traceana.trace.arguments import Arguments, decode_all_arguments
from traceana.trace.batches import Batch
from traceana.trace.columns import Ints


class Values(NamedTuple):
    """The arguments of a batch's events, of which some had to be decoded `whole`, by their places."""

    batch: Batch
    whole: Mapping[int, Arguments]

    def numbers(self, field: str, told: Callable[[Any], int] | None = None) -> Ints:
        """A field of Arguments as a column; where it need not be a number, `told` makes one of it."""
        found = map(attrgetter(field), self.whole.values())
        column = self._scanned(self.batch.table.numbers.get(field))
        column[list(self.whole)] = np.fromiter(map(told, found) if told else found, np.int64, len(self.whole))
        return column

    def shapes(self, numbers: dict[tuple[bytes, bytes], int]) -> Ints:
        """The number of each pair of a grid and a block in a numbering that grows; -1 where one of them is missing."""
        codes = {text: code for code, text in enumerate(self.batch.table.shapes)}
        grid, block = (self.numbers(field, partial(_code, codes)) for field in ("grid", "block"))
        # All pairs of what is written, of which few occur; -1 is the last text of the table, which is empty.
        texts, width = [*codes], len(codes)
        none = len(self.batch.table.shapes) - 1
        pairs = np.where(grid < 0, none, grid) * width + np.where(block < 0, none, block)
        found, first, which = np.unique(pairs, return_index=True, return_inverse=True)
        told = np.full(len(found), -1, dtype=np.int64)
        for place in np.argsort(first).tolist():
            pair = texts[found[place] // width], texts[found[place] % width]
            told[place] = numbers.setdefault(pair, len(numbers)) if all(pair) else -1
        return told[which]

    def _scanned(self, column: Ints | None) -> Ints:
        return np.zeros(len(self.batch), dtype=np.int64) if column is None else column[self.batch.rows]


def _code(codes: dict[bytes, int], text: msgspec.Raw) -> int:
    return codes.setdefault(bytes(text), len(codes))


def decoded(batch: Batch) -> Values:
    """The arguments of those events whose arguments are not damaged."""
    places = np.flatnonzero(batch.table.whole[batch.rows])
    found = decode_all_arguments([batch.table.arguments(row) for row in batch.rows[places].tolist()])
    damaged = [place for place, args in zip(places.tolist(), found, strict=True) if args is None]
    if damaged:
        return decoded(batch.of(np.delete(np.arange(len(batch)), damaged)))
    return Values(batch, {place: args for place, args in zip(places.tolist(), found, strict=True) if args is not None})
