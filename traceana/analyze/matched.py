"""What matching ends in: the same collective on every rank, its waiting and its transfer.

The last rank to arrive waits for nobody. For rank r, wait = last start − start of r and transfer = the rest of its
duration; a rank that was done before the last one arrived (a broadcast's root may be) did not wait for it.
"""

from collections.abc import Iterator, Mapping

import msgspec
import numpy as np

from traceana.analyze.clocks import ClockOffsets
from traceana.analyze.collectives import Collectives
from traceana.trace.columns import Ints


class MatchedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Collectives of one process group: `calls[i, j]` is the index of collective i among the calls of ranks[j]."""

    ranks: tuple[int, ...]
    calls: Ints
    start_ns: Ints
    """On the common clock."""
    wait_ns: Ints
    transfer_ns: Ints
    compared: bool = True
    """False where the ranks' clocks could not be compared: then waits and transfers are not known, and 0 here."""


class MatchedCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls of `ranks` are one: `calls[i, j]` is the index of collective i among the calls of ranks[j].

    `last_ns` is the arrival that each call waits for, the last of its row if not given.
    """

    ranks: tuple[int, ...]
    calls: Ints
    last_ns: Ints | None = None

    def timed(self, own: Mapping[int, Collectives], clocks: ClockOffsets) -> MatchedGroup:
        """Tell wait from transfer; `own` are the ranks' calls by their own clocks."""
        start, end = np.empty(self.calls.shape, dtype=np.int64), np.empty(self.calls.shape, dtype=np.int64)
        for column, rank in enumerate(self.ranks):
            calls, index = own[rank], self.calls[:, column]
            start[:, column] = clocks.common(rank, calls.start_ns[index])
            end[:, column] = clocks.common(rank, calls.end_ns[index])
        last = start.max(axis=1, keepdims=True) if self.last_ns is None else self.last_ns
        wait = np.where(end > last, last - start, 0)
        compared = clocks.comparable(self.ranks)
        return MatchedGroup(
            ranks=self.ranks,
            calls=self.calls,
            start_ns=start,
            wait_ns=wait * compared,
            transfer_ns=(end - start - wait) * compared,
            compared=compared,
        )


class Matching(msgspec.Struct, frozen=True, kw_only=True):
    """What was found to be one in all groups, the clock offsets used, and why some groups could not be matched."""

    found: tuple[MatchedCalls, ...]
    own: Mapping[int, Collectives]
    clocks: ClockOffsets
    notes: tuple[str, ...]

    @property
    def groups(self) -> Iterator[MatchedGroup]:
        """The groups with their times, one at a time: of all together they are many times as large as the calls."""
        return (one.timed(self.own, self.clocks) for one in self.found)

    def per_rank(self, rank: int, calls: int) -> tuple[Ints, Ints]:
        """For one rank's calls their wait and transfer in ns, 0 where they are not matched."""
        wait, transfer = np.zeros(calls, dtype=np.int64), np.zeros(calls, dtype=np.int64)
        for group in (one.timed(self.own, self.clocks) for one in self.found if rank in one.ranks):
            column = group.ranks.index(rank)
            index = group.calls[:, column]
            wait[index] = group.wait_ns[:, column]
            transfer[index] = group.transfer_ns[:, column]
        return wait, transfer
