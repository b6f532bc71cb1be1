"""A side of a comparison: the repeats of one setting."""

from collections.abc import Sequence

import msgspec

from traceana.analyze.run import AnalyzedRun
from traceana.comparing.repeats import FEWEST_REPEATS
from traceana.errors import TraceanaError
from traceana.report import RunReport

_NO_PRICE = 0.01
"""The share of the ranks' time below which what overlap may cost at most is nothing."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One or more runs of one setting."""

    label: str
    runs: tuple[AnalyzedRun, ...]

    @property
    def reports(self) -> tuple[RunReport, ...]:
        """The runs' reports."""
        return tuple(run.report for run in self.runs)

    @property
    def steady_steps(self) -> float:
        """Steady steps of a run, mean over the runs; 0 where some run marks none."""
        counts = [sum(not step.warm_up for step in run.steps) for run in self.reports]
        return sum(counts) / len(counts) if all(counts) else 0.0

    @property
    def overlap_price_known(self) -> bool:
        """Whether it is known of every run what its communication costs the compute beside it, be it nothing."""
        return all(_price_known(run) for run in self.reports)


def _price_known(run: RunReport) -> bool:
    if not any(rank.overlapped_comm_ns for rank in run.ranks):
        return True
    price = run.overlap_price
    return price is not None and (price.certain or price.high_ns < _NO_PRICE * sum(one.span_ns for one in run.ranks))


def sides(runs: Sequence[AnalyzedRun]) -> tuple[Side, ...]:
    """Group runs by their side, in order of appearance.

    A run with paired calls is slowed by them, so it is a side only where there are no other runs.
    """
    grouped: dict[str, list[AnalyzedRun]] = {}
    for run in [run for run in runs if not run.report.paired] or runs:
        grouped.setdefault(run.report.side, []).append(run)
    return tuple(
        Side(label=label, runs=tuple(sorted(members, key=lambda run: run.report.repeat or 0)))
        for label, members in grouped.items()
    )


def baseline_of(found: Sequence[Side], label: str | None) -> Side:
    """The side of that name or of which a run has that label, else the first. Raises TraceanaError for no such one."""
    if label is None:
        return found[0]
    for side in found:
        if label in (side.label, *(run.label for run in side.reports)):
            return side
    raise TraceanaError(f"--baseline {label}: no such run; the runs are {', '.join(side.label for side in found)}")


def by_repeats(baseline: Side, candidate: Side) -> bool:
    """Whether both have enough repeats to take the repeats as the sample."""
    return min(len(baseline.runs), len(candidate.runs)) >= FEWEST_REPEATS
