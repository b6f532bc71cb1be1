"""The steps of a run on its graph: which activities make up each, and how long it takes when the graph is played."""

from typing import Protocol

import msgspec
import numpy as np

from traceana.analyze.clocks import ClockOffsets
from traceana.analyze.repetition import NAME as BY_REPETITION
from traceana.analyze.steps import Executions
from traceana.replay.graph import Graph
from traceana.trace.columns import Bools, Ints

OUTSIDE = -1


class StepsOfGraph(Protocol):
    """Both kinds of steps."""

    @property
    def step(self) -> Ints:
        """For each activity the step that it is of, or OUTSIDE."""

    def duration_ns(self, graph: Graph, time_ns: Ints) -> Ints:
        """How long each step takes, for times of the graph's nodes, as the report counts it."""


class MarkedSteps(msgspec.Struct, frozen=True, kw_only=True):
    """Steps that a span marks: from the first start to the last end of their activities, on the slowest rank.

    `cut` is for each step and rank whether the step ends because the next one starts.
    """

    ranks: tuple[int, ...]
    step: Ints
    cut: Bools

    def duration_ns(self, graph: Graph, time_ns: Ints) -> Ints:
        """The longest of the ranks'."""
        activities, shape = graph.activities, self.cut.shape
        inside = np.flatnonzero(self.step != OUTSIDE)
        place = self.step[inside] * shape[1] + np.searchsorted(self.ranks, activities.rank[inside])
        start = np.full(shape, np.iinfo(np.int64).max, dtype=np.int64)
        end = np.zeros(shape, dtype=np.int64)
        np.minimum.at(start.reshape(-1), place, time_ns[: len(activities)][inside])
        np.maximum.at(end.reshape(-1), place, graph.end_ns(time_ns)[inside])
        following = np.append(start[1:], np.full((1, shape[1]), np.iinfo(np.int64).max), axis=0)
        end = np.where(self.cut, np.minimum(end, following), end)
        return np.asarray((end - start).max(axis=1))


class RepeatedSteps(msgspec.Struct, frozen=True, kw_only=True):
    """Steps from the end of one repetition to that of the next: `last` is for each the activity that ends it.

    The first one begins at `begin_ns`.
    """

    step: Ints
    last: Ints
    begin_ns: int

    def duration_ns(self, graph: Graph, time_ns: Ints) -> Ints:
        """From end to end."""
        return np.diff(graph.end_ns(time_ns)[self.last], prepend=self.begin_ns)


def steps_of_graph(
    graph: Graph, executed: Executions, clocks: ClockOffsets, first_ns: int, count: int
) -> StepsOfGraph | None:
    """The first `count` steps; `first_ns` is the graph's first moment on the common clock.

    None where a rank's devices did nothing in one of them.
    """
    ranks = tuple(sorted(executed.start_ns))
    start = {rank: clocks.common(rank, executed.start_ns[rank][: count + 1]) - first_ns for rank in ranks}
    end = {rank: clocks.common(rank, executed.end_ns[rank][: count + 1]) - first_ns for rank in ranks}
    if executed.names[0].startswith(BY_REPETITION):
        return _repeated(graph, ranks, start, end, count)
    finish = graph.end_ns(graph.time_ns)
    step = np.full(len(graph.activities), OUTSIDE, dtype=np.int64)
    cut = np.zeros((count, len(ranks)), dtype=np.bool_)
    for column, rank in enumerate(ranks):
        mine = np.flatnonzero(graph.activities.rank == rank)
        meets_next = np.append(end[rank][:-1] >= start[rank][1:], False)
        of = _step_of(graph.time_ns[mine], finish[mine], start[rank], end[rank], meets_next)
        step[mine] = np.where(of < count, of, OUTSIDE)
        cut[:, column] = meets_next[:count]
        if len(np.unique(step[mine][step[mine] != OUTSIDE])) < count:
            return None
    return MarkedSteps(ranks=ranks, step=step, cut=cut)


def _step_of(begin: Ints, finish: Ints, start: Ints, end: Ints, meets_next: Bools) -> Ints:
    """A step's are the activities that begin in it and, unless the next step cuts it, end in it."""
    step = np.searchsorted(start, begin, side="right") - 1
    known = np.maximum(step, 0)
    inside = (step >= 0) & (begin < end[known]) & (meets_next[known] | (finish <= end[known]))
    return np.where(inside, step, OUTSIDE)


def _repeated(
    graph: Graph, ranks: tuple[int, ...], start: dict[int, Ints], end: dict[int, Ints], count: int
) -> RepeatedSteps:
    """The lowest rank's calls tell where repetitions end."""
    finish, lowest = graph.end_ns(graph.time_ns), ranks[0]
    mine = np.flatnonzero(graph.activities.rank == lowest)
    apart = np.abs(finish[mine][None, :] - end[lowest][:count, None])
    step = np.full(len(graph.activities), OUTSIDE, dtype=np.int64)
    for rank in ranks:
        rows = np.flatnonzero(graph.activities.rank == rank)
        never = np.zeros(len(start[rank]), dtype=np.bool_)
        of = _step_of(graph.time_ns[rows], finish[rows], start[rank], end[rank], ~never)
        step[rows] = np.where(of < count, of, OUTSIDE)
    return RepeatedSteps(step=step, last=mine[apart.argmin(axis=1)], begin_ns=int(start[lowest][0]))
