"""A late rank made as quick as its peers: between any two calls it computes and launches for as long as they do."""

from itertools import pairwise

import msgspec
import numpy as np
from msgspec.structs import replace

from traceana.replay.changes import meets
from traceana.replay.graph import Floats, Graph
from traceana.trace.columns import Ints


class _Stretches(msgspec.Struct, frozen=True, kw_only=True):
    """One rank's stretches between two calls that follow each other: what pair of calls, and its time in each.

    `activity` and `op` say for each activity and host operation of the rank the stretch that it is in.
    """

    pair: tuple[tuple[int, int], ...]
    device_ns: Ints
    host_ns: Ints
    activities: Ints
    activity: Ints
    ops: Ints
    op: Ints


def without_straggler(graph: Graph, late: int) -> Graph:
    """The rank `late` takes in each stretch the median of its peers' times, on its devices and on its host."""
    calls = _calls(graph)
    mine = _stretches(graph, late, calls[late])
    peers = [_stretches(graph, rank, calls[rank]) for rank in calls if rank != late]
    device = _factors(mine, mine.device_ns, [(one, one.device_ns) for one in peers])
    host = _factors(mine, mine.host_ns, [(one, one.host_ns) for one in peers])
    duration, delay, gap = graph.duration_ns.copy(), graph.delay_ns.copy(), graph.host.gap_ns.copy()
    for column in (duration, delay):
        column[mine.activities] = np.rint(column[mine.activities] * device[mine.activity]).astype(np.int64)
    gap[mine.ops] = np.rint(gap[mine.ops] * host[mine.op]).astype(np.int64)
    return replace(graph, duration_ns=duration, delay_ns=delay, host=replace(graph.host, gap_ns=gap))


def _calls(graph: Graph) -> dict[int, Ints]:
    """By rank the first activity of each call that it makes with others, in order."""
    rows = np.flatnonzero(meets(graph))
    rank, collective = graph.activities.rank[rows], graph.activities.collective[rows]
    _, first = np.unique(np.stack([rank, collective]), axis=1, return_index=True)
    first = np.sort(first)
    return {one: rows[first[rank[first] == one]] for one in np.unique(rank).tolist()}


def _stretches(graph: Graph, rank: int, calls: Ints) -> _Stretches:
    activities = graph.activities
    numbers = [-1, *activities.collective[calls].tolist(), -2]
    rows = np.flatnonzero((activities.rank == rank) & ~meets(graph))
    of = np.searchsorted(graph.time_ns[calls], graph.time_ns[rows], side="right")
    device = np.zeros(len(calls) + 1, dtype=np.int64)
    np.add.at(device, of, graph.duration_ns[rows] + graph.delay_ns[rows])
    ops = np.flatnonzero(graph.host.rank == rank)
    launched = np.maximum.accumulate(activities.launch[calls])
    of_op = np.searchsorted(launched, ops, side="left")
    host = np.zeros(len(calls) + 1, dtype=np.int64)
    np.add.at(host, of_op, graph.host.gap_ns[ops])
    return _Stretches(
        pair=tuple(pairwise(numbers)),
        device_ns=device,
        host_ns=host,
        activities=rows,
        activity=of,
        ops=ops,
        op=of_op,
    )


def _factors(mine: _Stretches, own_ns: Ints, peers: list[tuple[_Stretches, Ints]]) -> Floats:
    """For each stretch its peers' median over its own time; 1 where no peer has it, or there is nothing to change."""
    found: dict[tuple[int, int], list[int]] = {}
    for one, times in peers:
        for pair, ns in zip(one.pair, times.tolist(), strict=True):
            found.setdefault(pair, []).append(ns)
    usual = np.array([np.median(found.get(pair, [own])) for pair, own in zip(mine.pair, own_ns.tolist(), strict=True)])
    return np.where(own_ns > 0, usual / np.maximum(own_ns, 1), 1.0)
