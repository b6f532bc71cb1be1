"""The price of overlap where it was paid: on each rank, in each step, beside each call."""

from collections.abc import Mapping

import numpy as np
from msgspec.structs import replace

from traceana.analyze.calls import Calls
from traceana.analyze.collectives import Collectives
from traceana.analyze.overlap_price import CoveredCompute, Price
from traceana.analyze.steps import Executions
from traceana.report import OverlapPrice, RankReport, RunReport, StepTime
from traceana.trace.columns import Ints
from traceana.trace.narrow import Column


def with_overlap_price(
    report: RunReport, paid: Price | None, covered: Mapping[int, CoveredCompute], executed: Executions
) -> RunReport:
    """The report with the run's price and, where it is certain, what its ranks and steps paid of it."""
    if paid is None:
        return report
    steps = _steps(report, paid, covered, executed) if paid.certain else report.steps
    steady = [one.overlap_price_ns for one in steps if one.steady and one.overlap_price_ns is not None]
    return replace(
        report,
        overlap_price=OverlapPrice(
            kernels=paid.kernels,
            usual_ns=paid.usual_ns,
            extra_ns=paid.extra_ns,
            low_ns=paid.low_ns,
            high_ns=paid.high_ns,
            p_value=paid.p_value,
            certain=paid.certain,
            step_ns=round(sum(steady) / len(steady)) if steady else None,
        ),
        ranks=tuple(_rank(one, paid, covered) for one in report.ranks) if paid.certain else report.ranks,
        steps=steps,
    )


def _rank(rank: RankReport, paid: Price, covered: Mapping[int, CoveredCompute]) -> RankReport:
    return replace(rank, overlap_price_ns=round(float(paid.of(covered[rank.rank]).sum())))


def _steps(
    report: RunReport, paid: Price, covered: Mapping[int, CoveredCompute], executed: Executions
) -> tuple[StepTime, ...]:
    count = len(executed)
    sums = np.zeros(count)
    for rank, start in executed.start_ns.items():
        its = covered[rank]
        edges = np.stack([start[:count], executed.end_ns[rank][:count]])
        first, last = np.searchsorted(its.start_ns, edges)
        running = np.concatenate(([0.0], np.cumsum(paid.of(its))))
        sums += running[np.maximum(first, last)] - running[first]
    means = sums / max(len(executed.start_ns), 1)
    return tuple(
        replace(step, overlap_price_ns=round(mean)) for step, mean in zip(report.steps, means.tolist(), strict=True)
    )


def with_slowed_compute(
    calls: Calls, paid: Price | None, covered: Mapping[int, CoveredCompute], own: Mapping[int, Collectives]
) -> Calls:
    """The calls with what each made compute beside it slower; `own` are the ranks' calls by their own clocks."""
    if paid is None or not paid.certain:
        return calls
    slowed = Column(len(calls), least=4)
    for rank, rows in calls.rows_of_ranks.items():
        its = covered[rank]
        beside = _beside(own[rank], (its.start_ns + its.end_ns) // 2)
        known = beside >= 0
        ns = np.zeros(rows.stop - rows.start)
        np.add.at(ns, beside[known], paid.of(its)[known])
        slowed.put(rows, np.rint(ns).astype(np.int64))
    return replace(calls, slowed_ns=slowed.values)


def _beside(calls: Collectives, at_ns: Ints) -> Ints:
    """For each time the call that began last of those that run then, or -1."""
    place = np.searchsorted(calls.start_ns, at_ns, side="right") - 1
    while True:
        over = (place >= 0) & (calls.end_ns[place] < at_ns)
        if not over.any():
            return place
        place = np.where(over, place - 1, place)
