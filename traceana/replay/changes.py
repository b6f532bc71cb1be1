"""Changes to a run's graph, each a function from graph to graph."""

import numpy as np
from msgspec.structs import replace

from traceana.analyze.calls import Calls
from traceana.analyze.causes.idle import LAUNCH_LATENCY_NS
from traceana.replay.graph import Edges, Floats, Graph
from traceana.trace.columns import Bools, Ints


def meets(graph: Graph) -> Bools:
    """The activities that end together with other ranks'."""
    return np.asarray(graph.activities.leave != np.arange(len(graph.activities)))


def transfer_ns(graph: Graph) -> Ints:
    """For each activity how long its call took once all had come, on the slowest rank; -1 where that is not known."""
    rows = np.flatnonzero(meets(graph))
    collective, rank = graph.activities.collective[rows], graph.activities.rank[rows]
    pairs, of_pair = np.unique(np.stack([collective, rank], axis=1), axis=0, return_inverse=True)
    total = np.zeros(len(pairs), dtype=np.int64)
    np.add.at(total, of_pair.ravel(), graph.delay_ns[graph.activities.leave[rows]])
    slowest = np.zeros(int(collective.max(initial=-1)) + 1, dtype=np.int64)
    np.maximum.at(slowest, pairs[:, 0], total)
    found = np.full(len(graph.activities), -1, dtype=np.int64)
    found[rows] = slowest[collective]
    return found


def with_transfers(graph: Graph, factor: Floats) -> Graph:
    """Transfers that take `factor` times as long, one factor an activity."""
    rows = np.flatnonzero(meets(graph))
    leave, delay = graph.activities.leave[rows], graph.delay_ns.copy()
    delay[leave] = np.rint(delay[leave] * factor[rows]).astype(np.int64)
    return replace(graph, delay_ns=delay)


def at_best_quartile(graph: Graph, calls: Calls) -> Graph:
    """No transfer takes longer than the quickest quarter of its kind, an operation at one size in one group.

    Calls whose size is not known may be of any size, and keep their time.
    """
    own = transfer_ns(graph)
    factor = np.ones(len(own))
    known = np.flatnonzero(own > 0)
    known = known[calls.sizes[graph.activities.call[known]] >= 0]
    kind = calls.signature[graph.activities.call[known]]
    for one in np.unique(kind).tolist():
        rows = known[kind == one]
        factor[rows] = np.minimum(1.0, np.quantile(own[rows], 0.25) / own[rows])
    return with_transfers(graph, factor)


def without_launch_gaps(graph: Graph) -> Graph:
    """The host launches all that it launches between two waits at once, as a CUDA graph does."""
    host = graph.host
    first = np.diff(host.after, prepend=-1) != 0
    # A host that followed its device is ahead of it.
    ahead = np.minimum(host.gap_ns, -LAUNCH_LATENCY_NS)
    gap = np.where(host.follows, ahead, np.where(first, host.gap_ns, 0))
    return replace(graph, host=replace(host, gap_ns=gap))


def overlapped(graph: Graph, chosen: Bools) -> Graph:
    """Nothing but the rank's next communication waits for the activities `chosen`, which then run beside compute."""
    rows = np.flatnonzero(chosen)
    start_of = np.full(len(graph.time_ns), -1, dtype=np.int64)
    start_of[rows], start_of[graph.activities.leave[rows]] = rows, rows
    edges, computes = graph.edges, _computes(graph)
    while (moved := (start_of[edges.source] >= 0) & computes[edges.target]).any():
        edges = _past(edges, moved, start_of)
    return replace(graph, edges=Edges.joined([edges, _next_communication(graph, chosen)]))


def _computes(graph: Graph) -> Bools:
    found = np.zeros(len(graph.time_ns), dtype=np.bool_)
    found[: len(graph.activities)] = ~graph.activities.communicates
    return found


def _past(edges: Edges, moved: Bools, start_of: Ints) -> Edges:
    """Edges that start one node further back, at what their source depends on on its own device."""
    by_target = np.argsort(edges.target, kind="stable")
    targets = edges.target[by_target]
    source, target, lag = start_of[edges.source[moved]], edges.target[moved], edges.lag_ns[moved]
    first, last = (np.searchsorted(targets, source, side=side) for side in ("left", "right"))
    count = last - first
    each = np.repeat(np.arange(len(source)), count)
    before = by_target[np.repeat(first, count) + np.arange(len(each)) - np.repeat(np.cumsum(count) - count, count)]
    own = edges.op[before] < 0
    further = Edges(
        source=edges.source[before[own]], target=target[each[own]], lag_ns=lag[each[own]], op=edges.op[before[own]]
    )
    return Edges.joined([edges.only(~moved), further])


def _next_communication(graph: Graph, chosen: Bools) -> Edges:
    """From the end of each chosen activity to the start of the next communication of its rank that began later."""
    activities, found = graph.activities, []
    ends = graph.end_ns(graph.time_ns)
    for rank in np.unique(activities.rank[chosen]).tolist():
        rows = np.flatnonzero((activities.rank == rank) & activities.communicates)
        mine = np.flatnonzero((activities.rank == rank) & chosen)
        place = np.maximum(np.searchsorted(graph.time_ns[rows], ends[mine]), np.searchsorted(rows, mine) + 1)
        some = place < len(rows)
        found.append(np.stack([activities.leave[mine[some]], rows[place[some]]]))
    source, target = np.concatenate([np.zeros((2, 0), dtype=np.int64), *found], axis=1)
    return Edges(
        source=source, target=target, lag_ns=np.zeros(len(source), dtype=np.int64), op=np.full(len(source), -1)
    )
