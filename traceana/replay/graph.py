"""A run as a graph: what happened when, and what each thing had to wait for.

A node happens as soon as all that it depends on has, plus its own delay:

    time(node) = max over its edges (time(source) + duration(source) + lag) + delay(node)

Nodes are the starts of the devices' activities; ends of calls that ranks make together, which are `transfer` after the
last one has come; and moments at which a host goes on after waiting. What a host does between these takes the time that
it took: its operations, one after the other, are `gap_ns` apart, and an edge that names an operation adds the gaps from
the host's last waiting to it.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from traceana.trace.columns import Bools, Ints

Floats = npt.NDArray[np.float64]


class Edges(msgspec.Struct, frozen=True, kw_only=True):
    """`target` depends on `source`; `op` is the host operation on the way, or -1."""

    source: Ints
    target: Ints
    lag_ns: Ints
    op: Ints

    def __len__(self) -> int:
        return len(self.source)

    def only(self, rows: Bools) -> "Edges":
        """Some of them."""
        return Edges(source=self.source[rows], target=self.target[rows], lag_ns=self.lag_ns[rows], op=self.op[rows])

    @staticmethod
    def joined(parts: Sequence["Edges"]) -> "Edges":
        """All of some."""
        return Edges(
            source=np.concatenate([one.source for one in parts]),
            target=np.concatenate([one.target for one in parts]),
            lag_ns=np.concatenate([one.lag_ns for one in parts]),
            op=np.concatenate([one.op for one in parts]),
        )


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """The host operations of all ranks, rank by rank and in order of start.

    `after` is the node at which the host last went on before it, from which gaps count; `gap_ns` the time since that or
    since the operation before it, whichever was later. Where a host `follows` its device that node is the end of an
    activity, and the gap is negative where the launch came before it.
    """

    rank: Ints
    after: Ints
    gap_ns: Ints
    follows: Bools

    def offset_ns(self) -> Ints:
        """For each operation the sum of the gaps since `after`."""
        total = np.cumsum(self.gap_ns)
        first = np.flatnonzero(np.diff(self.after, prepend=-1))
        before = np.concatenate(([0], total))[first]
        return np.asarray(total - np.repeat(before, np.diff(np.append(first, len(total)))))


class Activities(msgspec.Struct, frozen=True, kw_only=True):
    """The first nodes of a graph, rank by rank and in order of start.

    `leave` is the node whose time, with its duration, is the activity's end: itself, or the end of a call that ranks
    make together. `collective` numbers the calls that were matched across ranks, `call` is the row among the run's
    calls; both are -1 elsewhere.
    """

    rank: Ints
    leave: Ints
    communicates: Bools
    collective: Ints
    call: Ints
    launch: Ints

    def __len__(self) -> int:
        return len(self.rank)


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of the nodes, in ns since the run's first moment; `time_ns` is when they happened, on a common clock."""

    time_ns: Ints
    duration_ns: Ints
    delay_ns: Ints
    edges: Edges
    host: Host
    activities: Activities

    def end_ns(self, time_ns: Ints) -> Ints:
        """When each activity ended, for times of the nodes."""
        leave = self.activities.leave
        return np.asarray(time_ns[leave] + self.duration_ns[leave])

    def lag_ns(self) -> Ints:
        """For each edge its lag, with what the host did on the way."""
        edges = self.edges
        by_host = edges.op >= 0
        lag: Ints = edges.lag_ns.copy()
        lag[by_host] += self.host.offset_ns()[edges.op[by_host]]
        return lag

    def ready_ns(self) -> Ints:
        """When each node's dependencies were there, as it happened; 0 for a node without any."""
        edges, ready = self.edges, np.zeros(len(self.time_ns), dtype=np.int64)
        np.maximum.at(ready, edges.target, (self.time_ns + self.duration_ns)[edges.source] + self.lag_ns())
        return ready
