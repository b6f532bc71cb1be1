"""Waits shared out: what the rank that came last did for longer than each peer that waited for it.

From when they were last together to their arrivals, a rank's time is compute, copies, other calls, and idleness by its
causes. The last rank's excess over a peer in each of these, as far as it has any, shares the peer's wait among them.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from traceana.analyze.calls import Calls
from traceana.analyze.causes.lost import LostTime
from traceana.analyze.causes.parts import within
from traceana.analyze.causes.spent import Spent
from traceana.analyze.causes.together import last_together, own_times
from traceana.analyze.clocks import ClockOffsets
from traceana.analyze.collectives import Collectives
from traceana.analyze.intervals import covered
from traceana.analyze.matched import MatchedCalls, Matching
from traceana.analyze.overlap import Occupation
from traceana.report import LateBy
from traceana.trace.columns import Bools, Ints
from traceana.trace.narrow import narrow

Floats = npt.NDArray[np.float64]
COMPUTE, MEMORY, HOST_BEHIND, HELD, WAITING, WINDOW_LATE, UNEXPLAINED = range(len(LateBy.__struct_fields__))
_AT_ONCE = 1 << 20
"""Calls of all ranks that are compared at a time, which bounds the memory that it takes."""


class RankTimes(msgspec.Struct, frozen=True, kw_only=True):
    """What one rank's device did, by its own clock."""

    occupied: Occupation
    lost: LostTime
    spent: Spent


class ComparedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Collectives of one group, which are kept for all groups: `last` is the column of the rank that came last.

    Ranks are compared in the `apart_ns` before their arrivals, by each rank's own clock. Shapes (collectives,) and
    (collectives, ranks).
    """

    ranks: tuple[int, ...]
    calls: Ints
    first: Ints
    """Where the calls of each rank begin in the table."""
    table: Calls
    """All of the run."""
    last: Ints
    apart_ns: Ints

    def waited(self, rows: Ints) -> Bools:
        """For some collectives, which ranks waited."""
        return np.asarray(self.table.wait_ns[self.first + self.calls[rows]] > 0)

    def wait_ns(self, column: int, rows: Ints) -> Ints:
        """How long one rank waited in some collectives."""
        return np.asarray(self.table.wait_ns[self.first[column] + self.calls[rows, column]])

    def of_rank(self, column: int, rows: Ints, own: Mapping[int, Collectives]) -> tuple[Ints, Ints]:
        """From when to when one rank is compared in some collectives, the latter its arrival."""
        arrived = own[self.ranks[column]].start_ns[self.calls[rows, column]]
        return arrived - self.apart_ns[rows, column], arrived


class CausedWaits(msgspec.Struct, frozen=True, kw_only=True):
    """Of the collectives of a group what all peers together waited, by the fields of LateBy in `by_ns`.

    `start_ns` is when the last one came by the common clock. Shapes (collectives,) and (collectives, fields).
    """

    group: ComparedGroup
    start_ns: Ints
    caused_ns: Ints
    by_ns: Floats


def compared(
    matching: Matching, own: Mapping[int, Collectives], calls: Calls, times: Mapping[int, RankTimes]
) -> Iterator[CausedWaits]:
    """All groups in which somebody waited and the times of every rank are known, one at a time."""
    clocks = matching.clocks
    first = {rank: rows.start for rank, rows in calls.rows_of_ranks.items()}
    opened = {rank: one.spent.opened_ns for rank, one in times.items()}
    of_rank: dict[int, list[MatchedCalls]] = {}
    for matched in matching.found:
        if clocks.comparable(matched.ranks):
            for rank in matched.ranks:
                of_rank.setdefault(rank, []).append(matched)
    for group in matching.groups:
        if group.wait_ns.any() and all(rank in times for rank in group.ranks):
            since, opening = last_together(group, of_rank[group.ranks[0]], own, opened)
            arrived, last = own_times(group, own, "start_ns"), group.start_ns.argmax(axis=1)
            step = max(_AT_ONCE // len(group.ranks), 1)
            blocks = [slice(at, at + step) for at in range(0, len(last), step)]
            by = [
                _shared_out(group.wait_ns[block], last[block], done)
                for block in blocks
                for done in (_doings(group.ranks, since[block], arrived[block], opening[block], times, clocks),)
            ]
            yield CausedWaits(
                group=ComparedGroup(
                    ranks=group.ranks,
                    calls=group.calls,
                    first=np.array([first[rank] for rank in group.ranks]),
                    table=calls,
                    last=narrow(last),
                    apart_ns=narrow(arrived - since),
                ),
                start_ns=group.start_ns.max(axis=1),
                caused_ns=group.wait_ns.sum(axis=1),
                by_ns=np.concatenate(by),
            )


def _shared_out(wait: Ints, last: Ints, done: Ints) -> Floats:
    """`done` has shape (collectives, ranks, fields); the result adds up to the waits of each collective."""
    excess = np.maximum(np.take_along_axis(done, last[:, None, None], axis=1) - done, 0).astype(np.float64)
    whole = excess.sum(axis=2, keepdims=True)
    excess[:, :, UNEXPLAINED] += np.where(whole[:, :, 0] > 0, 0, 1)
    return np.asarray((excess / np.where(whole > 0, whole, 1) * wait[:, :, None]).sum(axis=1))


def _doings(
    ranks: Sequence[int],
    since: Ints,
    arrived: Ints,
    opening: Bools,
    times: Mapping[int, RankTimes],
    clocks: ClockOffsets,
) -> Ints:
    """ns of each rank in each collective, by the fields of LateBy; where a rank began later counts as time, too."""
    done = np.zeros((*since.shape, len(LateBy.__struct_fields__)), dtype=np.int64)
    for j, rank in enumerate(ranks):
        done[:, j] = _of_rank(times[rank], since[:, j], arrived[:, j])
        begun = clocks.common(rank, since[:, j])
        done[:, j, WINDOW_LATE] += np.where(opening, begun, 0)
        done[:, j, HELD] += np.where(opening, 0, begun)
    return done


def _of_rank(one: RankTimes, start: Ints, end: Ints) -> Ints:
    done = np.zeros((len(start), len(LateBy.__struct_fields__)), dtype=np.int64)
    host_behind, waiting, outside, unexplained = within(one.lost.idle, start, end).T
    busy = (one.occupied.compute, one.occupied.communication, one.occupied.memory)
    begun = min(int(kind.start[0]) for kind in busy if len(kind.start))
    # Before its first work a device is idle for want of a launch, although no gap is there.
    before = np.clip(begun - start, 0, end - start)
    done[:, COMPUTE] = covered(start, end, one.occupied.compute)
    done[:, HELD] = covered(start, end, one.lost.exposed)
    done[:, HOST_BEHIND] = host_behind + before
    done[:, WAITING] = waiting
    done[:, UNEXPLAINED] = outside + unexplained
    done[:, MEMORY] = end - start - done.sum(axis=1)
    return done
