"""A run ready to be replayed, or the reason why it cannot be."""

import math
from collections.abc import Mapping

import msgspec
import numpy as np
from msgspec.structs import replace

from traceana import units
from traceana.analyze.calls import Calls
from traceana.analyze.run import AnalyzedRun
from traceana.analyze.work import RankWork
from traceana.replay.build import build, first_moment
from traceana.replay.changes import meets
from traceana.replay.graph import Graph
from traceana.replay.play import NotKnownError, play
from traceana.replay.steps import OUTSIDE, StepsOfGraph, steps_of_graph
from traceana.trace.columns import Bools, Ints

WITHIN = 0.03
"""The unchanged replay must give the measured steps as near as this."""
_MATCHED, _LAUNCHED = 0.95, 0.95


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A run's graph and steps. `steady` are the steps that count; `measured_ns` and `replayed_ns` are these steps'."""

    graph: Graph
    steps: StepsOfGraph
    steady: Bools
    calls: Calls
    measured_ns: Ints
    replayed_ns: Ints

    def played_ns(self, graph: Graph) -> Ints:
        """The steady steps of a changed graph."""
        return self.steps.duration_ns(graph, play(graph))[self.steady]

    @property
    def off(self) -> float:
        """How far the replayed steps are from the measured ones, as a share."""
        return abs(math.log(mean_ns(self.replayed_ns) / mean_ns(self.measured_ns)))

    def in_steady_steps(self) -> Bools:
        """The activities of the steps that count."""
        step = self.steps.step
        return np.asarray((step != OUTSIDE) & self.steady[np.maximum(step, 0)])


def mean_ns(times_ns: Ints) -> float:
    """The geometric mean."""
    return math.exp(float(np.log(np.maximum(times_ns, 1)).mean()))


def recorded(run: AnalyzedRun, works: Mapping[int, RankWork | None], most_steps: int | None = None) -> Recorded:
    """The run's first steps, all of them if `most_steps` is None. Raises NotKnownError with the reason."""
    if any(work is None for work in works.values()):
        raise NotKnownError("its recording holds no GPU's work, so what waited for what is not known")
    if run.report.missing_ranks:
        missing = units.number_ranges(run.report.missing_ranks)
        raise NotKnownError(f"the traces of ranks {missing} are missing, so when they came to a call is not known")
    steps, clocks = run.steps, run.clocks
    if steps is None or clocks is None or not len(steps):
        raise NotKnownError("no steps are known in it; mark them with record_function('step 0'), 'step 1', …")
    count = min(len(steps), most_steps or len(steps))
    steady = np.array([one.steady for one in run.report.steps[:count]], dtype=np.bool_)
    if not steady.any():
        raise NotKnownError("it has no step but the first one, which is warm-up; record more")
    cut = count < len(steps)
    present = {
        rank: work.until(int(steps.end_ns[rank][count])) if cut else work
        for rank, work in works.items()
        if work is not None
    }
    graph = build(present, run.calls, clocks)
    found = steps_of_graph(graph, steps, clocks, first_moment(present, clocks), count)
    if found is None:
        raise NotKnownError("a step has no GPU work on some rank, so it cannot be followed")
    measured = np.array([one.duration_ns for one in run.report.steps[:count]], dtype=np.int64)[steady]
    explained = _explained(graph)
    result = Recorded(
        graph=graph,
        steps=found,
        steady=steady,
        calls=run.calls,
        measured_ns=measured,
        replayed_ns=found.duration_ns(explained, play(explained))[steady],
    )
    _check(result)
    return result


def _explained(graph: Graph) -> Graph:
    """Without the delays of activities that nothing explains."""
    delay = graph.delay_ns.copy()
    delay[: len(graph.activities)] = 0
    return replace(graph, delay_ns=delay)


def _check(run: Recorded) -> None:
    inside, activities = run.in_steady_steps(), run.graph.activities
    talks = inside & activities.communicates
    ns = run.graph.end_ns(run.graph.time_ns) - run.graph.time_ns[: len(activities)]
    matched = int(ns[talks & meets(run.graph)].sum())
    if talks.any() and matched < _MATCHED * int(ns[talks].sum()):
        share = units.percent(matched, int(ns[talks].sum()))
        raise NotKnownError(f"only {share} of its communication is matched across ranks")
    if (launched := int((activities.launch[inside] >= 0).sum())) < _LAUNCHED * int(inside.sum()):
        share = units.percent(launched, int(inside.sum()))
        raise NotKnownError(f"only {share} of its GPU work has its launch in the trace")
    if run.off > WITHIN:
        replayed, measured = units.duration(mean_ns(run.replayed_ns)), units.duration(mean_ns(run.measured_ns))
        raise NotKnownError(
            f"the unchanged replay gives steps of {replayed} where {measured} were measured, so something held the "
            "GPUs up that the recording does not tell"
        )
