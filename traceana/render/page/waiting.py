"""Waits that the ranks' clocks are good enough to tell."""

from traceana.report import Clock, RankWait, RunReport


def mean_wait_ns(wait: RankWait) -> float:
    """What a steady call of the cell waits."""
    return wait.steady_wait_ns / wait.steady_calls if wait.steady_calls else 0


def is_certain(mean_ns: float, clock: Clock) -> bool:
    """Whether a mean wait is no shorter than what is left between the ranks' clocks."""
    return mean_ns >= (clock.residual_ns or 0)


def certain_waits(run: RunReport) -> tuple[RankWait, ...]:
    """The cells of the wait matrix that mean something."""
    return tuple(wait for wait in run.waits if is_certain(mean_wait_ns(wait), run.clock))
