"""A run at a glance: the step, what is exposed and why, what costs most, who is late."""

from dataclasses import dataclass

from traceana.render.answer.causes import EXPOSED_IS, UNCOVERED_BY, Explained, explained
from traceana.render.answer.figures import Window, window
from traceana.render.answer.typical_step import TypicalStep, typical_step
from traceana.render.page.waiting import is_certain
from traceana.report import Operation, RunReport, Straggler

MOST_COSTLY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Costly:
    """An operation at one size; its exposed time on a mean rank, in ns, and as a share of all that is in calls."""

    op: str
    message_bytes: int | None
    exposed_ns: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """`ranks` were read; `times` are sums over them. `late` is None where no rank is known to be."""

    label: str
    ranks: int
    step: TypicalStep | None
    times: Window
    exposed_is: tuple[Explained, ...]
    uncovered_by: tuple[Explained, ...]
    costly: tuple[Costly, ...]
    late: Straggler | None


def overview(run: RunReport) -> Overview:
    """What an engineer asks of a run first."""
    return Overview(
        label=run.label,
        ranks=len(run.ranks),
        step=typical_step([run]),
        times=window([run]),
        exposed_is=explained((rank.exposed_is for rank in run.ranks), EXPOSED_IS),
        uncovered_by=explained((rank.uncovered_by for rank in run.ranks), UNCOVERED_BY),
        costly=costly(run),
        late=late_rank(run),
    )


def costly(run: RunReport) -> tuple[Costly, ...]:
    """The operations with the most exposed time, at most MOST_COSTLY."""
    sums: dict[tuple[str, int | None], int] = {}
    for operation in run.operations:
        key = _key(operation)
        sums[key] = sums.get(key, 0) + operation.exposed_ns
    whole, ranks = sum(sums.values()), max(1, len(run.ranks))
    first = sorted(sums, key=lambda key: -sums[key])[:MOST_COSTLY]
    return tuple(
        Costly(op=op, message_bytes=size, exposed_ns=sums[op, size] / ranks, share=sums[op, size] / whole)
        for op, size in first
        if sums[op, size]
    )


def _key(operation: Operation) -> tuple[str, int | None]:
    return operation.op, operation.message_bytes


def late_rank(run: RunReport) -> Straggler | None:
    """The rank that cost its peers most, where the clocks are good enough to tell.

    Where waits are followed on, what counts is what began with it.
    """
    told = [
        one
        for one in run.stragglers
        if one.steady_wait_caused_ns and is_certain(one.steady_wait_caused_ns / one.steady_times_last, run.clock)
    ]
    rooted = {one.rank: one.steady.rooted_ns for one in run.late if one.steady}
    return max(told, key=lambda one: rooted.get(one.rank, 0) if rooted else one.steady_wait_caused_ns, default=None)
