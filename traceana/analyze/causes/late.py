"""Waiting followed to the ranks that came last: why, in which steps, in which kernels and operators."""

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter

import msgspec
import numpy as np

from traceana.analyze.calls import Calls
from traceana.analyze.causes.arrivals import Arrivals, arrivals
from traceana.analyze.causes.compared import compared
from traceana.analyze.causes.doings import Floats, RankTimes
from traceana.analyze.causes.followed import followed
from traceana.analyze.causes.host import Place
from traceana.analyze.causes.longer import Excess, longer
from traceana.analyze.causes.parts import named, rounded
from traceana.analyze.causes.spent import Spent
from traceana.analyze.collectives import Collectives
from traceana.analyze.each_rank import EachRank
from traceana.analyze.matched import Matching
from traceana.analyze.spread import Spread, here
from traceana.report import HostPlace, LateBy, LateKernel, Lateness, LateRank, LateStep
from traceana.trace.columns import Ints

MOST_RANKS = 8
_MOST_NAMES = 5
_NONE: Ints = np.zeros(0, dtype=np.int64)


class _Lates(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of who came last; `rooted_ns` are the rows of `found.by_ns` followed on."""

    found: Arrivals
    rooted_ns: Floats
    kernels: Excess
    host: Excess
    steps: Sequence[str]


def late_ranks(
    matching: Matching,
    calls: Calls,
    own: Mapping[int, Collectives],
    times: Mapping[int, RankTimes],
    steps: Sequence[str],
    spread: Spread = here,
) -> tuple[LateRank, ...]:
    """The ranks that others waited for, those that caused most of it first; `steps` are the names of the run's."""
    found = arrivals(compared(matching, own, calls, times, spread), sum(len(one.calls) for one in matching.found), own)
    if not found.groups:
        return ()
    rooted_ns = followed(found, own)
    rooted = _rooted(found, rooted_ns)
    first = sorted(rooted, key=lambda rank: (-rooted[rank], rank))[:MOST_RANKS]
    kernels, host = longer(found, np.flatnonzero(np.isin(found.rank, first)), own, _spent(times))
    lates = _Lates(found=found, rooted_ns=rooted_ns, kernels=kernels, host=host, steps=steps)
    return tuple(_late_rank(rank, lates) for rank in first)


def _spent(times: Mapping[int, RankTimes]) -> Mapping[int, Spent]:
    return EachRank(times, attrgetter("spent"))


def _rooted(found: Arrivals, rooted_ns: Floats) -> dict[int, float]:
    order = np.argsort(found.rank, kind="stable")
    of_ranks = np.split(order, np.flatnonzero(np.diff(found.rank[order])) + 1)
    return {int(found.rank[rows[0]]): float(rooted_ns[rows].sum()) for rows in of_ranks if len(rows)}


def _late_rank(rank: int, lates: _Lates) -> LateRank:
    found = lates.found
    mine = np.flatnonzero(found.rank == rank)
    kernels, host = lates.kernels.only(mine), lates.host.only(mine)
    steady = mine[~found.warm_up[mine]]
    return LateRank(
        rank=rank,
        calls=_lateness(lates, mine, kernels, host),
        steady=_lateness(lates, steady, kernels, host) if len(steady) else None,
        steps=tuple(_steps(lates, mine, kernels, host)),
    )


def _steps(lates: _Lates, mine: Ints, kernels: Excess, host: Excess) -> Iterator[LateStep]:
    found = lates.found
    of_kernels, of_host = kernels.by_step(found.step), host.by_step(found.step)
    for step in np.unique(found.step[mine]).tolist():
        # A rank whose trace is whole has steps that a damaged one lost.
        if 0 <= step < len(lates.steps):
            rows = mine[found.step[mine] == step]
            caused = int(found.caused_ns[rows].sum())
            by = _by(found.by_ns, rows, caused)
            yield LateStep(
                number=step,
                step=lates.steps[step],
                wait_caused_ns=caused,
                late_ns=_late_ns(found, rows),
                by=by,
                kernels=_kernels(kernels.of(of_kernels.get(step, _NONE)), by, 1),
                host=_host(host.of(of_host.get(step, _NONE)), by, 1),
            )


def _lateness(lates: _Lates, rows: Ints, kernels: Excess, host: Excess) -> Lateness:
    found = lates.found
    caused, rooted = int(found.caused_ns[rows].sum()), round(float(lates.rooted_ns[rows].sum()))
    by = _by(found.by_ns, rows, caused)
    return Lateness(
        times_last=len(rows),
        wait_caused_ns=caused,
        late_ns=_late_ns(found, rows),
        by=by,
        rooted_ns=rooted,
        rooted_by=_by(lates.rooted_ns, rows, rooted),
        kernels=_kernels(kernels.of(np.isin(kernels.row, rows)), by, _MOST_NAMES),
        host=_host(host.of(np.isin(host.row, rows)), by, _MOST_NAMES),
    )


def _kernels(excess: list[tuple[Place, float]], by: LateBy, most: int) -> tuple[LateKernel, ...]:
    return tuple(LateKernel(name=name, ns=ns) for (_, name), ns in _largest(excess, by.compute_ns, most))


def _host(excess: list[tuple[Place, float]], by: LateBy, most: int) -> tuple[HostPlace, ...]:
    return tuple(
        HostPlace(kind=kind, name=name, ns=ns) for (kind, name), ns in _largest(excess, by.host_behind_ns, most)
    )


def _by(by_ns: Floats, rows: Ints, whole: int) -> LateBy:
    return named(LateBy, rounded(by_ns[rows].sum(axis=0), whole))


def _late_ns(found: Arrivals, rows: Ints) -> int:
    return round(float(found.late_ns(rows).sum()))


def _largest(excess: list[tuple[Place, float]], whole: int, most: int) -> list[tuple[Place, int]]:
    """The first parts of `whole`, which is shared among all that took longer."""
    everything = sum(ns for _, ns in excess)
    parts = [(name, int(whole * ns / everything)) for name, ns in excess[:most]]
    return [(name, ns) for name, ns in parts if ns]
