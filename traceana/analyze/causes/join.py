"""The causes of a run's lost time, by rank and by operation, once calls are matched across ranks."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from traceana.analyze.calls import Calls
from traceana.analyze.causes.exposed import exposed_parts, usual
from traceana.analyze.causes.lost import LostTime
from traceana.analyze.causes.of_steps import LostOfSteps
from traceana.analyze.causes.parts import named, over_window, within
from traceana.analyze.collectives import Collectives
from traceana.analyze.statistics import sums
from traceana.report import ExposedIs, IdleBy, UncoveredBy
from traceana.trace.columns import Bools, Ints


class RankCauses(msgspec.Struct, frozen=True, kw_only=True):
    """Why one rank lost time, over its window."""

    exposed_is: ExposedIs
    uncovered_by: UncoveredBy
    idle_by: IdleBy


class Causes(msgspec.Struct, frozen=True, kw_only=True):
    """By rank, for those whose device is known; and for each signature a row of ns in the order of the causes' fields.

    `known` says of each signature whether the causes of all its calls are.
    """

    ranks: Mapping[int, RankCauses]
    exposed_ns: Ints
    uncovered_ns: Ints
    known: Bools

    def of_kinds(self, codes: Sequence[int]) -> tuple[ExposedIs, UncoveredBy] | tuple[None, None]:
        """Sums over the calls of some signatures, or None twice where a cause is not known for one of them."""
        if not self.known[codes].all():
            return None, None
        exposed, uncovered = self.exposed_ns[codes].sum(axis=0), self.uncovered_ns[codes].sum(axis=0)
        return named(ExposedIs, exposed.tolist()), named(UncoveredBy, uncovered.tolist())


def causes(
    calls: Calls,
    own: Mapping[int, Collectives],
    lost: Mapping[int, LostTime | None],
    world_size: int,
    of_steps: Sequence[LostOfSteps] = (),
) -> Causes:
    """Split every rank's exposed and idle time, and that `of_steps`; `own` are the ranks' calls by their own clocks."""
    typical = usual(calls, world_size)
    many = len(calls.signatures)
    totals = [np.zeros((many, len(kind.__struct_fields__)), dtype=np.int64) for kind in (ExposedIs, UncoveredBy)]
    known = np.ones(many, dtype=np.bool_)
    of_rank = calls.rows_of_ranks
    ranks: dict[int, RankCauses] = {}
    for rank, its in lost.items():
        rows = of_rank.get(rank, slice(0))
        if its is None:
            known[calls.signature[rows]] = False
            continue
        start, end = own[rank].start_ns, own[rank].end_ns
        spent = exposed_parts(its.exposed, calls, typical, rows, start)
        for number, parts in enumerate((spent, its.uncovered)):
            of_calls = _adding_up(within(parts, start, end), calls.exposed_ns[rows])
            totals[number] += np.stack([sums(calls.signature[rows], part, many) for part in of_calls.T], axis=1)
        ranks[rank] = RankCauses(
            exposed_is=over_window(ExposedIs, spent),
            uncovered_by=over_window(UncoveredBy, its.uncovered),
            idle_by=over_window(IdleBy, its.idle),
        )
        for steps in of_steps:
            steps.add(rank, (spent, its.uncovered, its.idle))
    return Causes(ranks=ranks, exposed_ns=totals[0], uncovered_ns=totals[1], known=known)


def _adding_up(parts: Ints, whole: Ints) -> Ints:
    """Scaled to the whole: between the kernels of one call another call may be exposed, which is none of its time."""
    over = parts.sum(axis=1) - whole
    for part in reversed(range(parts.shape[1])):
        taken = np.clip(over, 0, parts[:, part])
        parts[:, part] -= taken
        over -= taken
    parts[:, -1] -= over
    return parts
