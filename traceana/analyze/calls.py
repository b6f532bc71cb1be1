"""All calls of a run in one table: one row a rank's call, with its wait and transfer where it was matched."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec
import numpy as np

from traceana.analyze.collectives import Signature
from traceana.trace.columns import Bools, Ints, ModuleName

_AT_ONCE = 1 << 20
"""Rows that are looked at together, which bounds the memory that it takes."""


def in_pieces(chosen: Bools) -> Iterator[Ints]:
    """The places where it holds, so many rows at a time."""
    for begin in range(0, len(chosen), _AT_ONCE):
        yield begin + np.flatnonzero(chosen[begin : begin + _AT_ONCE])


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of equal length in order of rank, integers as wide as their values need.

    `signature` indexes `signatures`; wait and transfer are 0 where not `matched`. `collective` numbers the
    collectives whose calls were found on all ranks, -1 elsewhere; those whose clocks could not be compared are not
    `matched`. `step` numbers the run's steps, -1 outside them and -2 before the first; `warm_up` are calls of the
    first step, the first of each kind, and their peers. `site` indexes `sites`, the innermost span or module that
    issued the call, and `module` indexes `modules`; or they are -1.
    """

    rank: Ints
    start_ns: Ints
    duration_ns: Ints
    exposed_ns: Ints
    slowed_ns: Ints
    """By how much longer compute took because the call ran beside it; 0 where the run's price is not certain."""
    wait_ns: Ints
    transfer_ns: Ints
    matched: Bools
    collective: Ints
    seq: Ints
    step: Ints
    warm_up: Bools
    signature: Ints
    signatures: tuple[Signature, ...]
    site: Ints
    sites: tuple[str, ...]
    module: Ints
    modules: tuple[ModuleName, ...]

    def __len__(self) -> int:
        return len(self.rank)

    def where(self, *, op: str | None = None) -> Bools:
        """Rows whose operation is `op`."""
        chosen = [op is None or signature.op == op for signature in self.signatures]
        return np.array(chosen, dtype=np.bool_)[self.signature]

    def longest_transfers(self, rows: Bools) -> tuple[Ints, Ints]:
        """For each matched collective of `rows` the index of its first call and the longest transfer of its ranks."""
        chosen = rows & self.matched
        many = int(self.collective.max(initial=-1)) + 1
        first, longest = np.full(many, len(self), dtype=np.int64), np.full(many, -1, dtype=np.int64)
        for part in in_pieces(chosen):
            of = self.collective[part]
            np.minimum.at(first, of, part)
            np.maximum.at(longest, of, self.transfer_ns[part].astype(np.int64))
        found = np.flatnonzero(first < len(self))
        return first[found], longest[found]

    @property
    def rows_of_ranks(self) -> dict[int, slice]:
        """Where the calls of each rank are."""
        edges = np.flatnonzero(np.diff(self.rank, prepend=self.rank[:1] - 1, append=self.rank[-1:] + 1))
        return {int(self.rank[begin]): slice(begin, end) for begin, end in pairwise(edges.tolist())}

    def rows_of_kinds(self) -> Iterator[tuple[int, Ints]]:
        """Each used signature with the rows of its calls, in order."""
        order = np.argsort(self.signature, kind="stable")
        ends = np.cumsum(np.bincount(self.signature, minlength=len(self.signatures))).tolist()
        for code, (begin, end) in enumerate(pairwise([0, *ends])):
            if end > begin:
                yield code, order[begin:end]

    def of_kinds(self, codes: Sequence[int]) -> Bools:
        """Rows whose signature is one of some."""
        chosen = np.zeros(len(self.signatures), dtype=np.bool_)
        chosen[list(codes)] = True
        return chosen[self.signature]

    @property
    def sizes(self) -> Ints:
        """Message bytes a row, -1 where the size is not known."""
        return self.sizes_of(slice(None))

    def sizes_of(self, rows: Ints | Bools | slice) -> Ints:
        """The same of some rows."""
        sizes = [-1 if s.message_bytes is None else s.message_bytes for s in self.signatures]
        return np.array(sizes, dtype=np.int64)[self.signature[rows]]

    @property
    def cost_ns(self) -> Ints:
        """What a backend is ranked by: transfer where matched, else the whole duration."""
        return self.cost_of(slice(None))

    def cost_of(self, rows: Ints | Bools | slice) -> Ints:
        """The same of some rows."""
        return np.where(self.matched[rows], self.transfer_ns[rows], self.duration_ns[rows])
