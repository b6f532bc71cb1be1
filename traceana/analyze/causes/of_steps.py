"""Why each step lost time: means over the ranks, which add up to the step's own exposed and idle time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from traceana.analyze.causes.join import RankCauses
from traceana.analyze.causes.parts import named, rounded, within
from traceana.analyze.steps import Executions
from traceana.report import ExposedIs, IdleBy, StepTime, UncoveredBy
from traceana.trace.columns import Ints


def with_causes(
    steps: Sequence[StepTime], executed: Executions, ranks: Mapping[int, RankCauses]
) -> tuple[StepTime, ...]:
    """The same steps with their causes, where those of every rank that has the steps are known."""
    if not steps or any(rank not in ranks for rank in executed.start_ns):
        return tuple(steps)
    exposed, uncovered, idle = (_means(executed, ranks, kind) for kind in range(3))
    return tuple(
        replace(
            step,
            exposed_is=named(ExposedIs, rounded(exposed[index], step.exposed_comm_ns)),
            uncovered_by=named(UncoveredBy, rounded(uncovered[index], step.exposed_comm_ns)),
            idle_ns=(idle_ns := round(float(idle[index].sum()))),
            idle_by=named(IdleBy, rounded(idle[index], idle_ns)),
        )
        for index, step in enumerate(steps)
    )


def _means(executed: Executions, ranks: Mapping[int, RankCauses], kind: int) -> npt.NDArray[np.float64]:
    """Rows of a step's parts, mean over the ranks."""
    count = len(executed)
    found: list[Ints] = [
        within(ranks[rank].parts[kind], start[:count], executed.end_ns[rank][:count])
        for rank, start in executed.start_ns.items()
    ]
    return np.asarray(np.mean(found, axis=0))
