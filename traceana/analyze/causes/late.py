"""Waiting followed to the ranks that came last: why, in which steps, in which kernels and operators."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from traceana.analyze.calls import Calls
from traceana.analyze.causes.compared import ComparedGroup, Floats, RankTimes, compared
from traceana.analyze.causes.host import Place
from traceana.analyze.causes.longer import longer
from traceana.analyze.causes.parts import named, rounded
from traceana.analyze.causes.spent import Spent
from traceana.analyze.collectives import Collectives
from traceana.analyze.matched import Matching
from traceana.report import HostPlace, LateBy, LateKernel, Lateness, LateRank, LateStep
from traceana.trace.columns import Bools, Ints

MOST_RANKS = 8
_MOST_NAMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrivals:
    """Collectives that somebody waited in, of all groups; `of_group` and `row` say which each is."""

    rank: Ints
    """The rank that came last."""
    caused_ns: Ints
    late_ns: Floats
    by_ns: Floats
    step: Ints
    warm_up: Bools
    of_group: Ints
    row: Ints


def late_ranks(
    matching: Matching,
    calls: Calls,
    own: Mapping[int, Collectives],
    times: Mapping[int, RankTimes],
    steps: Sequence[str],
) -> tuple[LateRank, ...]:
    """The ranks that others waited for, the most waited for first; `steps` are the names of the run's steps."""
    groups = tuple(compared(matching.groups, own, times, matching.clocks))
    if not groups:
        return ()
    found, spent = _arrivals(groups, calls), {rank: one.spent for rank, one in times.items()}
    caused = {rank: int(found.caused_ns[found.rank == rank].sum()) for rank in np.unique(found.rank).tolist()}
    first = sorted(caused, key=lambda rank: (-caused[rank], rank))[:MOST_RANKS]
    return tuple(_late_rank(rank, found, groups, spent, steps) for rank in first)


def _arrivals(groups: Sequence[ComparedGroup], calls: Calls) -> _Arrivals:
    first = {rank: int(np.argmax(calls.rank == rank)) for rank in np.unique(calls.rank).tolist()}
    rows = [np.flatnonzero(one.caused_ns) for one in groups]
    ranks = [np.array(one.group.ranks)[one.last[which]] for one, which in zip(groups, rows, strict=True)]
    caused = [one.caused_ns[which] for one, which in zip(groups, rows, strict=True)]
    late = [ns / (len(one.group.ranks) - 1) for one, ns in zip(groups, caused, strict=True)]
    rank = np.concatenate(ranks)
    index = [one.group.calls[which, one.last[which]] for one, which in zip(groups, rows, strict=True)]
    call = np.concatenate(index) + np.array([first[one] for one in rank.tolist()])
    return _Arrivals(
        rank=rank,
        caused_ns=np.concatenate(caused),
        late_ns=np.concatenate(late),
        by_ns=np.concatenate([one.by_ns[which] for one, which in zip(groups, rows, strict=True)]),
        step=calls.step[call],
        warm_up=calls.warm_up[call],
        of_group=np.repeat(np.arange(len(groups)), [len(which) for which in rows]),
        row=np.concatenate(rows),
    )


def _late_rank(
    rank: int, found: _Arrivals, groups: Sequence[ComparedGroup], spent: Mapping[int, Spent], steps: Sequence[str]
) -> LateRank:
    mine = found.rank == rank
    steady = mine & ~found.warm_up
    return LateRank(
        rank=rank,
        calls=_lateness(found, mine, groups, spent),
        steady=_lateness(found, steady, groups, spent) if steady.any() else None,
        steps=tuple(_steps(found, mine, steps)),
    )


def _steps(found: _Arrivals, mine: Bools, names: Sequence[str]) -> Iterator[LateStep]:
    for step in np.unique(found.step[mine]).tolist():
        if step >= 0:
            rows = mine & (found.step == step)
            caused = int(found.caused_ns[rows].sum())
            yield LateStep(
                step=names[step], wait_caused_ns=caused, late_ns=_late_ns(found, rows), by=_by(found, rows, caused)
            )


def _lateness(found: _Arrivals, rows: Bools, groups: Sequence[ComparedGroup], spent: Mapping[int, Spent]) -> Lateness:
    caused = int(found.caused_ns[rows].sum())
    by = _by(found, rows, caused)
    numbers = np.unique(found.of_group[rows]).tolist()
    chosen = [(groups[number], found.row[rows & (found.of_group == number)]) for number in numbers]
    kernels, host = longer(chosen, spent)
    return Lateness(
        times_last=int(rows.sum()),
        wait_caused_ns=caused,
        late_ns=_late_ns(found, rows),
        by=by,
        kernels=tuple(LateKernel(name=name, ns=ns) for (_, name), ns in _largest(kernels, by.compute_ns)),
        host=tuple(HostPlace(kind=kind, name=name, ns=ns) for (kind, name), ns in _largest(host, by.host_behind_ns)),
    )


def _by(found: _Arrivals, rows: Bools, caused: int) -> LateBy:
    return named(LateBy, rounded(found.by_ns[rows].sum(axis=0), caused))


def _late_ns(found: _Arrivals, rows: Bools) -> int:
    return round(float(found.late_ns[rows].sum()))


def _largest(excess: Mapping[Place, float], whole: int) -> list[tuple[Place, int]]:
    """The names with the largest parts of `whole`, which is shared among all that took longer."""
    longer_ones = {name: ns for name, ns in excess.items() if ns > 0}
    everything = sum(longer_ones.values())
    first = sorted(longer_ones, key=lambda name: (-longer_ones[name], name))[:_MOST_NAMES]
    parts = [(name, int(whole * longer_ones[name] / everything)) for name in first]
    return [(name, ns) for name, ns in parts if ns]
