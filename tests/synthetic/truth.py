"""The planted truth: what an analysis of a synthetic run has to find. Times are ns."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTruth:
    """One collective of one group, on the true clock. `seen_by` are the ranks whose files hold it."""

    op: str
    dtype: str
    message_bytes: int
    arrivals: dict[int, int]
    ends: dict[int, int]
    seen_by: frozenset[int]

    @property
    def matched(self) -> bool:
        """Every rank of the group has recorded it."""
        return self.seen_by == frozenset(self.arrivals)

    @property
    def last_rank(self) -> int:
        """The rank that arrived last."""
        return max(self.arrivals, key=lambda rank: self.arrivals[rank])

    def wait_ns(self, rank: int) -> int:
        """How long a rank waited for the last one."""
        return self.arrivals[self.last_rank] - self.arrivals[rank]

    def transfer_ns(self, rank: int) -> int:
        """From the last arrival to this rank's end."""
        return self.ends[rank] - self.arrivals[self.last_rank]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankTruth:
    """What one rank's device did inside its recorded window, unions over all streams."""

    rank: int
    clock_offset_ns: int
    span_ns: int
    compute_ns: int
    comm_ns: int
    overlapped_comm_ns: int
    memory_ns: int
    kernels: int
    comm_kernels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """All of a run that somebody recorded. Counts of calls are per rank, as in the report."""

    ranks: dict[int, RankTruth]
    calls: tuple[CallTruth, ...]

    @property
    def matched_calls(self) -> tuple[CallTruth, ...]:
        """Collectives that every member recorded."""
        return tuple(call for call in self.calls if call.matched)

    @property
    def collectives(self) -> int:
        """Per-rank calls in the files."""
        return sum(len(call.seen_by) for call in self.calls)

    @property
    def matched(self) -> int:
        """Per-rank calls of collectives that every member recorded."""
        return sum(len(call.seen_by) for call in self.matched_calls)

    def waits(self, rank: int, op: str) -> list[int]:
        """A rank's waits inside its matched calls of `op`."""
        return [call.wait_ns(rank) for call in self.matched_calls if call.op == op and rank in call.arrivals]

    def transfers(self, op: str, message_bytes: int) -> list[int]:
        """All transfers of matched calls of one operation and size."""
        wanted = [call for call in self.matched_calls if (call.op, call.message_bytes) == (op, message_bytes)]
        return [call.transfer_ns(rank) for call in wanted for rank in call.arrivals]

    def times_last(self, rank: int) -> int:
        """How often a rank was the last to arrive."""
        return sum(call.last_rank == rank for call in self.matched_calls)

    def wait_caused_ns(self, rank: int) -> int:
        """How long all others together waited for a rank when it was last."""
        return sum(
            call.wait_ns(peer) for call in self.matched_calls if call.last_rank == rank for peer in call.arrivals
        )


Interval = tuple[int, int]


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same time covered by intervals that do not touch."""
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def covered_ns(intervals: Iterable[Interval]) -> int:
    """Length of the union."""
    return sum(end - start for start, end in union(intervals))


def shared_ns(left: Iterable[Interval], right: Iterable[Interval]) -> int:
    """Length of the time that both unions cover: |A| + |B| - |A or B|."""
    a, b = list(left), list(right)
    return covered_ns(a) + covered_ns(b) - covered_ns(a + b)
