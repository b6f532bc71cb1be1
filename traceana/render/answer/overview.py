"""A side at a glance: the step, what is exposed and why, what costs most."""

from collections.abc import Sequence

import msgspec

from traceana.analyze.control import Key, control, key
from traceana.render.answer.causes import EXPOSED_IS, UNCOVERED_BY, Explained, explained
from traceana.render.answer.figures import Window, window
from traceana.render.answer.typical_step import TypicalStep, typical_step
from traceana.report import RunReport

MOST_COSTLY = 3


class Costly(msgspec.Struct, frozen=True, kw_only=True):
    """An operation at one size; its exposed time on a mean rank, in ns, and as a share of all that is in calls.

    That of payload is a share of payload's.
    """

    op: str
    message_bytes: int | None
    exposed_ns: float
    share: float


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Of the runs of a side together: `ranks` of them were read, and `times` are sums over these."""

    ranks: int
    step: TypicalStep | None
    times: Window
    exposed_is: tuple[Explained, ...]
    uncovered_by: tuple[Explained, ...]
    costly: tuple[Costly, ...]


def overview(runs: Sequence[RunReport]) -> Overview:
    """What an engineer asks of a side's runs first."""
    ranks = [rank for run in runs for rank in run.ranks]
    return Overview(
        ranks=len(ranks),
        step=typical_step(runs),
        times=window(runs),
        exposed_is=explained((rank.exposed_is for rank in ranks), EXPOSED_IS),
        uncovered_by=explained((rank.uncovered_by for rank in ranks), UNCOVERED_BY),
        costly=costly(runs),
    )


def costly(runs: Sequence[RunReport]) -> tuple[Costly, ...]:
    """The operations with the most exposed time, at most MOST_COSTLY; control traffic comes behind payload."""
    sums: dict[Key, int] = {}
    for operation in (operation for run in runs for operation in run.operations):
        sums[key(operation)] = sums.get(key(operation), 0) + operation.exposed_ns
    ranks = max(1, sum(len(run.ranks) for run in runs))
    behind = control(operation for run in runs for operation in run.operations)
    whole, payload = sum(sums.values()), sum(ns for one, ns in sums.items() if one not in behind)
    first = sorted(sums, key=lambda one: (one in behind, -sums[one]))[:MOST_COSTLY]
    return tuple(
        Costly(
            op=one[0],
            message_bytes=one[1],
            exposed_ns=sums[one] / ranks,
            share=sums[one] / (whole if one in behind else payload),
        )
        for one in first
        if sums[one]
    )
