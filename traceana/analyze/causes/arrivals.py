"""The collectives that somebody waited in, of all groups in one table."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from traceana.analyze.calls import Calls
from traceana.analyze.causes.compared import ComparedGroup, Floats
from traceana.analyze.collectives import Collectives
from traceana.trace.columns import Bools, Ints


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """One row a collective; `of_group` and `row` say which it is.

    `since_ns` and `arrived_ns` are of the rank that came last, by its own clock, `start_ns` by the common one.
    """

    rank: Ints
    """The rank that came last."""
    peers: Ints
    """How many waited for it."""
    caused_ns: Ints
    late_ns: Floats
    by_ns: Floats
    since_ns: Ints
    arrived_ns: Ints
    start_ns: Ints
    step: Ints
    warm_up: Bools
    of_group: Ints
    row: Ints


def arrivals(groups: Sequence[ComparedGroup], own: Mapping[int, Collectives], calls: Calls) -> Arrivals:
    """Of all groups; there is at least one."""
    first = {rank: rows.start for rank, rows in calls.rows_of_ranks.items()}
    parts = [_of_group(one, np.flatnonzero(one.caused_ns), own) for one in groups]
    rank, index, peers, caused, late, by, since, arrived, start, row = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    call = index + np.array([first[one] for one in rank.tolist()])
    return Arrivals(
        rank=rank,
        peers=peers,
        caused_ns=caused,
        late_ns=late,
        by_ns=by,
        since_ns=since,
        arrived_ns=arrived,
        start_ns=start,
        step=calls.step[call],
        warm_up=calls.warm_up[call],
        of_group=np.repeat(np.arange(len(groups)), [len(part[0]) for part in parts]),
        row=row,
    )


def _of_group(one: ComparedGroup, rows: Ints, own: Mapping[int, Collectives]) -> tuple[Any, ...]:
    last, caused = one.last[rows], one.caused_ns[rows]
    since, arrived = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
    for column in np.unique(last).tolist():
        mine = last == column
        since[mine], arrived[mine] = one.of_rank(column, rows[mine], own)
    return (
        np.array(one.ranks)[last],
        one.calls[rows, last],
        one.waited(rows).sum(axis=1),
        caused,
        caused / (len(one.ranks) - 1),
        one.by_ns[rows],
        since,
        arrived,
        one.start_ns[rows],
        rows,
    )
