"""The step that stands for a side: its parts for the first screen, its time for the terminal."""

from collections.abc import Iterable
from dataclasses import dataclass

from traceana.report import RunReport, StepTime


@dataclass(frozen=True, slots=True, kw_only=True)
class TypicalStep:
    """One execution, as the report's StepTime has it; `other_ns` is what is neither compute nor exposed communication.

    The whole is of the rank where it takes longest, the parts are means over ranks.
    """

    name: str
    duration_ns: int
    compute_ns: int
    exposed_ns: int
    waiting_ns: int | None
    """Of the exposed communication, waiting for the last rank; None where that is not known."""
    unexplained_ns: int
    """Of the exposed communication, what cannot be told: all of it where no causes are known."""

    @property
    def other_ns(self) -> int:
        """Memory, idleness, and what ranks differ in."""
        return max(0, self.duration_ns - self.compute_ns - self.exposed_ns)


def typical_step(runs: Iterable[RunReport]) -> TypicalStep | None:
    """The steady step of middle length, the lower one of two; None where the runs have no steady step."""
    steady = sorted((step for run in runs for step in run.steps if step.steady), key=_duration)
    if not steady:
        return None
    step = steady[(len(steady) - 1) // 2]
    return TypicalStep(
        name=step.name,
        duration_ns=step.duration_ns,
        compute_ns=step.compute_ns,
        exposed_ns=step.exposed_comm_ns,
        waiting_ns=step.exposed_is.peer_ns if step.exposed_is else None,
        unexplained_ns=_unexplained(step),
    )


def _unexplained(step: StepTime) -> int:
    found = step.exposed_is
    return found.unexplained_ns + found.peer_or_transfer_ns if found else step.exposed_comm_ns


def _duration(step: StepTime) -> int:
    return step.duration_ns
