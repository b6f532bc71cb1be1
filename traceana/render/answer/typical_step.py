"""The step that stands for a side: its parts for the first screen, its time for the terminal."""

from collections.abc import Callable, Iterable, Sequence
from statistics import geometric_mean, median

import msgspec

from traceana.report import RunReport, StepTime


class TypicalStep(msgspec.Struct, frozen=True, kw_only=True):
    """A side's steady steps in one, its parts in the shares that they have of all of these steps.

    It is as long as a comparison says: the geometric mean of the runs' medians, which no step may have where steps are
    of two lengths. The whole is of the rank where a step takes longest, the parts are means over ranks, and exposed
    communication is payload's.
    """

    duration_ns: int
    compute_ns: int
    exposed_ns: int
    waiting_ns: int | None
    """Of the exposed communication, waiting for the last rank; None where that is not known."""
    unexplained_ns: int
    """Of the exposed communication, what cannot be told: all of it where no causes are known."""

    @property
    def other_ns(self) -> int:
        """Memory, idleness, control traffic, and what ranks differ in."""
        return max(0, self.duration_ns - self.compute_ns - self.exposed_ns)


def typical_step(runs: Iterable[RunReport]) -> TypicalStep | None:
    """The step that stands for these runs, or None where they have no steady step."""
    of_runs = [found for run in runs if (found := [step for step in run.steps if step.steady])]
    if not of_runs:
        return None
    duration = geometric_mean(max(1.0, median(step.duration_ns for step in steps)) for steps in of_runs)
    steps = [step for found in of_runs for step in found]
    scale = duration / max(1, sum(step.duration_ns for step in steps))
    return TypicalStep(
        duration_ns=round(duration),
        compute_ns=_part(steps, scale, lambda step: step.compute_ns),
        exposed_ns=_part(steps, scale, lambda step: step.exposed_payload_ns),
        waiting_ns=_part(steps, scale, _waiting) if any(step.exposed_is for step in steps) else None,
        unexplained_ns=_part(steps, scale, _unexplained),
    )


def _part(steps: Sequence[StepTime], scale: float, part: Callable[[StepTime], int]) -> int:
    return round(scale * sum(map(part, steps)))


def _waiting(step: StepTime) -> int:
    return step.exposed_is.peer_ns if step.exposed_is else 0


def _unexplained(step: StepTime) -> int:
    found = step.exposed_is
    return found.unexplained_ns + found.peer_or_transfer_ns if found else step.exposed_payload_ns
