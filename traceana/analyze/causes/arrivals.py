"""The collectives that somebody waited in, of all groups in one table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from traceana.analyze.calls import Calls
from traceana.analyze.causes.compared import ComparedGroup, Floats
from traceana.trace.columns import Bools, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
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


def arrivals(groups: Sequence[ComparedGroup], calls: Calls) -> Arrivals:
    """Of all groups; there is at least one."""
    first = {rank: int(np.argmax(calls.rank == rank)) for rank in np.unique(calls.rank).tolist()}
    parts = [_of_group(one, np.flatnonzero(one.caused_ns)) for one in groups]
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


def _of_group(one: ComparedGroup, rows: Ints) -> tuple[Any, ...]:
    last, caused = one.last[rows], one.caused_ns[rows]
    return (
        np.array(one.group.ranks)[last],
        one.group.calls[rows, last],
        one.waited[rows].sum(axis=1),
        caused,
        caused / (len(one.group.ranks) - 1),
        one.by_ns[rows],
        one.since_ns[rows, last],
        one.arrived_ns[rows, last],
        one.group.start_ns[rows, last],
        rows,
    )
