"""Plays a graph: the time of every node from those that it depends on."""

import numpy as np

from traceana.errors import TraceanaError
from traceana.replay.graph import Edges, Graph
from traceana.trace.columns import Ints

# Things that happen at one time and depend on each other are few.
_MOST_AT_ONCE = 10_000
_AT_ONCE = 1 << 16
"""Nodes that are lists at a time: in these a number takes five times what it does in a column."""


class NotKnownError(TraceanaError):
    """The recording does not tell enough to replay the run."""


def play(graph: Graph) -> Ints:
    """When each node happens. Raises NotKnownError where nodes depend on each other in a circle."""
    order = _in_order(graph.time_ns, graph.edges)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    target = place[graph.edges.target]
    by_target = np.argsort(target, kind="stable")
    first = np.searchsorted(target[by_target], np.arange(len(order) + 1))
    source, lag = place[graph.edges.source][by_target], graph.lag_ns()[by_target]
    found = np.empty(len(order), dtype=np.int64)
    ends: list[int] = []
    for begin in range(0, len(order), _AT_ONCE):
        nodes = order[begin : begin + _AT_ONCE]
        bounds = first[begin : begin + _AT_ONCE + 1]
        edges = slice(bounds[0], bounds[-1])
        found[nodes] = _played(
            ends,
            (bounds - bounds[0]).tolist(),
            source[edges].tolist(),
            lag[edges].tolist(),
            graph.delay_ns[nodes].tolist(),
            graph.duration_ns[nodes].tolist(),
        )
    return found


def _played(
    ends: list[int], first: list[int], source: list[int], lag: list[int], delays: list[int], durations: list[int]
) -> list[int]:
    """When the next nodes happen; `ends` are those of all before them, to which theirs are added.

    Node i depends on what `source` and `lag` say from `first[i]` to `first[i + 1]`.
    """
    times = []
    for node, delay in enumerate(delays):
        ready = 0
        for edge in range(first[node], first[node + 1]):
            at = ends[source[edge]] + lag[edge]
            if at > ready:
                ready = at
        times.append(ready + delay)
        ends.append(ready + delay + durations[node])
    return times


def _in_order(time_ns: Ints, edges: Edges) -> Ints:
    """The nodes so that each comes after what it depends on: by time, and at one time by what depends on what."""
    at_once = time_ns[edges.source] == time_ns[edges.target]
    source, target = edges.source[at_once], edges.target[at_once]
    depth = np.zeros(len(time_ns), dtype=np.int64)
    for _ in range(_MOST_AT_ONCE):
        deeper = depth.copy()
        np.maximum.at(deeper, target, depth[source] + 1)
        if (deeper == depth).all():
            return np.lexsort((depth, time_ns))
        depth = deeper
    raise NotKnownError("the run's activities depend on each other in a circle: their times cannot be right")
