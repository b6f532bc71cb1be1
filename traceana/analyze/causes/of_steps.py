"""Why each step lost time: means over the ranks, which add up to the step's own exposed and idle time."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from traceana.analyze.causes.parts import named, rounded
from traceana.analyze.steps import Executions
from traceana.report import ExposedIs, IdleBy, StepTime, UncoveredBy
from traceana.trace.columns import Ints


class LostOfSteps:
    """What the ranks lost in each of some steps, rank after rank: nothing of a rank is kept but its share of a sum."""

    def __init__(self, executed: Executions) -> None:
        self._executed = executed
        self._ranks = 0
        self._sums: list[Ints] = []

    def spans(self, rank: int) -> tuple[Ints, Ints] | None:
        """From when to when each step is on one rank; None where it has none."""
        start, count = self._executed.start_ns.get(rank), len(self._executed)
        return (start[:count], self._executed.end_ns[rank][:count]) if start is not None and count else None

    def add(self, found: Sequence[Ints]) -> None:
        """Of one rank that has the steps: exposed time by what it is, by what left it uncovered, and idle time."""
        self._sums = [old + new for old, new in zip(self._sums, found, strict=True)] if self._sums else list(found)
        self._ranks += 1

    @property
    def means(self) -> list[npt.NDArray[np.float64]] | None:
        """Rows of a step's parts, mean over the ranks; None where those of a rank that has the steps are not known."""
        known = self._ranks == len(self._executed.start_ns) and self._ranks
        return [one / self._ranks for one in self._sums] if known else None


def with_causes(steps: Sequence[StepTime], lost: LostOfSteps) -> tuple[StepTime, ...]:
    """The same steps with their causes, where those of every rank that has the steps are known."""
    if not steps or (means := lost.means) is None:
        return tuple(steps)
    exposed, uncovered, idle = means
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
