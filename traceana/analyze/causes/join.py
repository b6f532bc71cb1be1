"""The causes of a run's lost time, by rank and by operation, once calls are matched across ranks."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from traceana.analyze.calls import Calls
from traceana.analyze.causes.exposed import exposed_parts, usual
from traceana.analyze.causes.lost import LostTime
from traceana.analyze.causes.parts import Parts, named, over_window, within
from traceana.analyze.collectives import Collectives
from traceana.report import ExposedIs, IdleBy, UncoveredBy
from traceana.trace.columns import Bools, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class RankCauses:
    """Why one rank lost time, over its window."""

    exposed_is: ExposedIs
    uncovered_by: UncoveredBy
    idle_by: IdleBy
    parts: tuple[Parts, Parts, Parts]
    """The sets of time behind these three."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Causes:
    """By rank, for those whose device is known; and for each call rows of ns in the order of the causes' fields."""

    ranks: Mapping[int, RankCauses]
    exposed_ns: Ints
    uncovered_ns: Ints
    known: Bools

    def of_calls(self, rows: Bools) -> tuple[ExposedIs, UncoveredBy] | tuple[None, None]:
        """Sums over some calls, or None twice where a cause is not known for one of them."""
        if not self.known[rows].all():
            return None, None
        exposed, uncovered = self.exposed_ns[rows].sum(axis=0), self.uncovered_ns[rows].sum(axis=0)
        return named(ExposedIs, exposed.tolist()), named(UncoveredBy, uncovered.tolist())


def causes(
    calls: Calls, own: Mapping[int, Collectives], lost: Mapping[int, LostTime | None], world_size: int
) -> Causes:
    """Split every rank's exposed and idle time; `own` are the ranks' calls by their own clocks."""
    typical = usual(calls, world_size)
    exposed_ns, uncovered_ns = (
        np.zeros((len(calls), len(fields(kind))), dtype=np.int64) for kind in (ExposedIs, UncoveredBy)
    )
    known = np.zeros(len(calls), dtype=np.bool_)
    ranks: dict[int, RankCauses] = {}
    for rank, its in lost.items():
        if its is None:
            continue
        rows, start, end = np.flatnonzero(calls.rank == rank), own[rank].start_ns, own[rank].end_ns
        spent = exposed_parts(its.exposed, calls, typical, rows, start)
        exposed_ns[rows] = _adding_up(within(spent, start, end), calls.exposed_ns[rows])
        uncovered_ns[rows] = _adding_up(within(its.uncovered, start, end), calls.exposed_ns[rows])
        known[rows] = True
        ranks[rank] = RankCauses(
            exposed_is=over_window(ExposedIs, spent),
            uncovered_by=over_window(UncoveredBy, its.uncovered),
            idle_by=over_window(IdleBy, its.idle),
            parts=(spent, its.uncovered, its.idle),
        )
    return Causes(ranks=ranks, exposed_ns=exposed_ns, uncovered_ns=uncovered_ns, known=known)


def _adding_up(parts: Ints, whole: Ints) -> Ints:
    """Scaled to the whole: between the kernels of one call another call may be exposed, which is none of its time."""
    over = parts.sum(axis=1) - whole
    for part in reversed(range(parts.shape[1])):
        taken = np.clip(over, 0, parts[:, part])
        parts[:, part] -= taken
        over -= taken
    parts[:, -1] -= over
    return parts
