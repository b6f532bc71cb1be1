"""Why each step lost time: means over the ranks, which add up to the step's own exposed and idle time."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from traceana.analyze.causes.parts import Parts, named, rounded, within
from traceana.analyze.steps import Executions
from traceana.report import ExposedIs, IdleBy, StepTime, UncoveredBy
from traceana.trace.columns import Ints


class LostOfSteps:
    """What the ranks lost in each of some steps, rank after rank: nothing of a rank is kept but its share of a sum."""

    def __init__(self, executed: Executions) -> None:
        self._executed = executed
        self._ranks = 0
        self._sums: list[Ints] = []

    def add(self, rank: int, parts: Sequence[Parts]) -> None:
        """One rank's exposed time by what it is, by what left it uncovered, and its idle time."""
        start, count = self._executed.start_ns.get(rank), len(self._executed)
        if start is not None and count:
            end = self._executed.end_ns[rank]
            found = [within(part, start[:count], end[:count]) for part in parts]
            self._sums = [old + new for old, new in zip(self._sums, found, strict=True)] if self._sums else found
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
