"""Waiting followed to the ranks that came last: why, in which steps, in which kernels and operators."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from traceana.analyze.calls import Calls
from traceana.analyze.causes.arrivals import Arrivals, arrivals
from traceana.analyze.causes.compared import ComparedGroup, Floats, RankTimes, compared
from traceana.analyze.causes.followed import followed
from traceana.analyze.causes.host import Place
from traceana.analyze.causes.longer import longer
from traceana.analyze.causes.parts import named, rounded
from traceana.analyze.causes.spent import Spent
from traceana.analyze.collectives import Collectives
from traceana.analyze.matched import Matching
from traceana.report import HostPlace, LateBy, LateKernel, Lateness, LateRank, LateStep
from traceana.trace.columns import Bools

MOST_RANKS = 8
_MOST_NAMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lates:
    """All that is known of who came last; `rooted_ns` are the rows of `found.by_ns` followed on."""

    found: Arrivals
    rooted_ns: Floats
    groups: Sequence[ComparedGroup]
    spent: Mapping[int, Spent]
    steps: Sequence[str]


def late_ranks(
    matching: Matching,
    calls: Calls,
    own: Mapping[int, Collectives],
    times: Mapping[int, RankTimes],
    steps: Sequence[str],
) -> tuple[LateRank, ...]:
    """The ranks that others waited for, those that caused most of it first; `steps` are the names of the run's."""
    groups = tuple(compared(matching.groups, own, times, matching.clocks))
    if not groups:
        return ()
    found = arrivals(groups, calls)
    spent = {rank: one.spent for rank, one in times.items()}
    lates = _Lates(found=found, rooted_ns=followed(found, groups), groups=groups, spent=spent, steps=steps)
    rooted = {rank: float(lates.rooted_ns[found.rank == rank].sum()) for rank in np.unique(found.rank).tolist()}
    first = sorted(rooted, key=lambda rank: (-rooted[rank], rank))[:MOST_RANKS]
    return tuple(_late_rank(rank, lates) for rank in first)


def _late_rank(rank: int, lates: _Lates) -> LateRank:
    mine = lates.found.rank == rank
    steady = mine & ~lates.found.warm_up
    return LateRank(
        rank=rank,
        calls=_lateness(lates, mine),
        steady=_lateness(lates, steady) if steady.any() else None,
        steps=tuple(_steps(lates.found, mine, lates.steps)),
    )


def _steps(found: Arrivals, mine: Bools, names: Sequence[str]) -> Iterator[LateStep]:
    for step in np.unique(found.step[mine]).tolist():
        # A rank whose trace is whole has steps that a damaged one lost.
        if 0 <= step < len(names):
            rows = mine & (found.step == step)
            caused = int(found.caused_ns[rows].sum())
            yield LateStep(
                number=step,
                step=names[step],
                wait_caused_ns=caused,
                late_ns=_late_ns(found, rows),
                by=_by(found.by_ns, rows, caused),
            )


def _lateness(lates: _Lates, rows: Bools) -> Lateness:
    found = lates.found
    caused, rooted = int(found.caused_ns[rows].sum()), round(float(lates.rooted_ns[rows].sum()))
    by = _by(found.by_ns, rows, caused)
    numbers = np.unique(found.of_group[rows]).tolist()
    chosen = [(lates.groups[number], found.row[rows & (found.of_group == number)]) for number in numbers]
    kernels, host = longer(chosen, lates.spent)
    return Lateness(
        times_last=int(rows.sum()),
        wait_caused_ns=caused,
        late_ns=_late_ns(found, rows),
        by=by,
        rooted_ns=rooted,
        rooted_by=_by(lates.rooted_ns, rows, rooted),
        kernels=tuple(LateKernel(name=name, ns=ns) for (_, name), ns in _largest(kernels, by.compute_ns)),
        host=tuple(HostPlace(kind=kind, name=name, ns=ns) for (kind, name), ns in _largest(host, by.host_behind_ns)),
    )


def _by(by_ns: Floats, rows: Bools, whole: int) -> LateBy:
    return named(LateBy, rounded(by_ns[rows].sum(axis=0), whole))


def _late_ns(found: Arrivals, rows: Bools) -> int:
    return round(float(found.late_ns[rows].sum()))


def _largest(excess: Mapping[Place, float], whole: int) -> list[tuple[Place, int]]:
    """The names with the largest parts of `whole`, which is shared among all that took longer."""
    longer_ones = {name: ns for name, ns in excess.items() if ns > 0}
    everything = sum(longer_ones.values())
    first = sorted(longer_ones, key=lambda name: (-longer_ones[name], name))[:_MOST_NAMES]
    parts = [(name, int(whole * longer_ones[name] / everything)) for name in first]
    return [(name, ns) for name, ns in parts if ns]
