"""Every group's waits with what each peer waited for: which collectives, from when on its ranks are compared."""

from collections import deque
from collections.abc import Iterator, Mapping

import msgspec
import numpy as np

from traceana.analyze.calls import Calls
from traceana.analyze.causes.doings import Device, Floats, RankTimes, Waits, device, shared_out
from traceana.analyze.causes.together import last_together, own_times
from traceana.analyze.clocks import ClockOffsets
from traceana.analyze.collectives import Collectives
from traceana.analyze.each_rank import EachRank
from traceana.analyze.matched import MatchedCalls, MatchedGroup, Matching
from traceana.analyze.spread import Spread, here
from traceana.trace.columns import Bools, Ints
from traceana.trace.narrow import narrow

_MANY_CALLS, _FEW_RANKS = 1_000, 64
"""Of these it is quicker to send what a group's ranks did to another process than to look at it here."""


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
    matching: Matching,
    own: Mapping[int, Collectives],
    calls: Calls,
    times: Mapping[int, RankTimes],
    spread: Spread = here,
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
    ahead: deque[tuple[ComparedGroup, Ints, Ints]] = deque()

    def waits() -> Iterator[Waits]:
        for group in matching.groups:
            if group.wait_ns.any() and all(rank in times for rank in group.ranks):
                since, opening = last_together(group, of_rank[group.ranks[0]], own, opened)
                one = _waits(group, own, since, opening, times, clocks)
                ahead.append(
                    (_compared(one, group, first, calls), group.start_ns.max(axis=1), group.wait_ns.sum(axis=1))
                )
                yield one

    for by_ns in spread(shared_out, waits(), _is_sent):
        group, start_ns, caused_ns = ahead.popleft()
        yield CausedWaits(group=group, start_ns=start_ns, caused_ns=caused_ns, by_ns=by_ns)


def _waits(
    group: MatchedGroup,
    own: Mapping[int, Collectives],
    since: Ints,
    opening: Bools,
    times: Mapping[int, RankTimes],
    clocks: ClockOffsets,
) -> Waits:
    devices: Mapping[int, Device] = EachRank(times, device, group.ranks)
    return Waits(
        ranks=group.ranks,
        devices=dict(devices) if len(since) >= _MANY_CALLS and len(group.ranks) <= _FEW_RANKS else devices,
        since_ns=since,
        arrived_ns=own_times(group, own, "start_ns"),
        begun_ns=np.stack([clocks.common(rank, since[:, j]) for j, rank in enumerate(group.ranks)], axis=1),
        wait_ns=group.wait_ns,
        opening=opening,
        last=group.start_ns.argmax(axis=1),
    )


def _is_sent(waits: Waits) -> bool:
    return isinstance(waits.devices, dict)


def _compared(waits: Waits, group: MatchedGroup, first: Mapping[int, int], table: Calls) -> ComparedGroup:
    return ComparedGroup(
        ranks=group.ranks,
        calls=group.calls,
        first=np.array([first[rank] for rank in group.ranks]),
        table=table,
        last=narrow(waits.last),
        apart_ns=narrow(waits.arrived_ns - waits.since_ns),
    )
