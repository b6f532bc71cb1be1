"""What matching ends in: the same collective on every rank, its waiting and its transfer.

The last rank to arrive waits for nobody. For rank r, wait = last start − start of r and transfer = the rest of its
duration; a rank that was done before the last one arrived (a broadcast's root may be) did not wait for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from traceana.analyze.clocks import ClockOffsets
from traceana.analyze.collectives import Collectives
from traceana.trace.columns import Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedGroup:
    """Collectives of one process group: `calls[i, j]` is the index of collective i among the calls of ranks[j]."""

    ranks: tuple[int, ...]
    calls: Ints
    start_ns: Ints
    """On the common clock."""
    wait_ns: Ints
    transfer_ns: Ints
    compared: bool = True
    """False where the ranks' clocks could not be compared: then waits and transfers are not known, and 0 here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """All matched groups, the clock offsets used, and why some groups could not be matched."""

    groups: tuple[MatchedGroup, ...]
    clocks: ClockOffsets
    notes: tuple[str, ...]

    def per_rank(self, rank: int, calls: int) -> tuple[Ints, Ints]:
        """For one rank's calls their wait and transfer in ns, 0 where they are not matched."""
        wait, transfer = np.zeros(calls, dtype=np.int64), np.zeros(calls, dtype=np.int64)
        for group in self.groups:
            if rank in group.ranks:
                column = group.ranks.index(rank)
                index = group.calls[:, column]
                wait[index] = group.wait_ns[:, column]
                transfer[index] = group.transfer_ns[:, column]
        return wait, transfer


def matched_group(
    ranks: Mapping[int, Collectives],
    members: Sequence[int],
    calls: Ints,
    clocks: ClockOffsets,
    last_ns: Ints | None = None,
) -> MatchedGroup:
    """Tell wait from transfer; `last_ns` is the arrival that each call waits for, the last of its row if not given."""
    start = np.stack([clocks.common(rank, ranks[rank].start_ns[calls[:, j]]) for j, rank in enumerate(members)], axis=1)
    end = np.stack([clocks.common(rank, ranks[rank].end_ns[calls[:, j]]) for j, rank in enumerate(members)], axis=1)
    last = start.max(axis=1, keepdims=True) if last_ns is None else last_ns
    wait = np.where(end > last, last - start, 0)
    compared = clocks.comparable(members)
    return MatchedGroup(
        ranks=tuple(members),
        calls=calls,
        start_ns=start,
        wait_ns=wait * compared,
        transfer_ns=(end - start - wait) * compared,
        compared=compared,
    )
