"""The causes of a run's lost time, by rank and by operation, once calls are matched across ranks."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from traceana.analyze.calls import Calls
from traceana.analyze.causes.exposed import TimedCalls, exposed_parts, timed_calls, usual
from traceana.analyze.causes.lost import LostTime
from traceana.analyze.causes.of_steps import LostOfSteps
from traceana.analyze.causes.parts import Parts, named, over_window, within
from traceana.analyze.collectives import Collectives
from traceana.analyze.spread import Spread, here
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


class _Rank(msgspec.Struct, frozen=True, kw_only=True):
    """One rank's lost time, to be split over its window, its calls, and each kind of steps that it has."""

    lost: LostTime
    calls: TimedCalls
    spans: tuple[tuple[Ints, Ints] | None, ...]


class _Split(msgspec.Struct, frozen=True, kw_only=True):
    """What it was split into: rows of ns for the signatures `codes`, and for each kind of steps rows of a step's."""

    over_window: RankCauses
    codes: Ints
    exposed_ns: Ints
    uncovered_ns: Ints
    of_steps: tuple[tuple[Ints, ...] | None, ...]


def causes(
    calls: Calls,
    own: Mapping[int, Collectives],
    lost: Mapping[int, LostTime | None],
    world_size: int,
    of_steps: Sequence[LostOfSteps] = (),
    spread: Spread = here,
) -> Causes:
    """Split every rank's exposed and idle time, and that `of_steps`; `own` are the ranks' calls by their own clocks."""
    typical = usual(calls, world_size)
    many, of_rank = len(calls.signatures), calls.rows_of_ranks
    kinds = (len(kind.__struct_fields__) for kind in (ExposedIs, UncoveredBy))
    exposed, uncovered = (np.zeros((many, fields), dtype=np.int64) for fields in kinds)
    known = np.ones(many, dtype=np.bool_)
    told = {rank: of_rank.get(rank, slice(0)) for rank, its in lost.items() if its is not None}
    for rank in lost.keys() - told.keys():
        known[calls.signature[of_rank.get(rank, slice(0))]] = False
    tasks = (
        _Rank(
            lost=its,
            calls=timed_calls(own[rank], calls, typical, rows),
            spans=tuple(steps.spans(rank) for steps in of_steps),
        )
        for rank, rows in told.items()
        if (its := lost[rank]) is not None
    )
    ranks: dict[int, RankCauses] = {}
    for rank, split in zip(told, spread(_split, tasks), strict=True):
        ranks[rank] = split.over_window
        exposed[split.codes] += split.exposed_ns
        uncovered[split.codes] += split.uncovered_ns
        for steps, found in zip(of_steps, split.of_steps, strict=True):
            if found is not None:
                steps.add(found)
    return Causes(ranks=ranks, exposed_ns=exposed, uncovered_ns=uncovered, known=known)


def _split(rank: _Rank) -> _Split:
    lost, calls = rank.lost, rank.calls
    spent = exposed_parts(lost.exposed, calls)
    codes, code = np.unique(calls.signature, return_inverse=True)
    of_codes = [_of_codes(parts, calls, code, len(codes)) for parts in (spent, lost.uncovered)]
    return _Split(
        over_window=RankCauses(
            exposed_is=over_window(ExposedIs, spent),
            uncovered_by=over_window(UncoveredBy, lost.uncovered),
            idle_by=over_window(IdleBy, lost.idle),
        ),
        codes=codes,
        exposed_ns=of_codes[0],
        uncovered_ns=of_codes[1],
        of_steps=tuple(
            span and tuple(within(parts, *span) for parts in (spent, lost.uncovered, lost.idle)) for span in rank.spans
        ),
    )


def _of_codes(parts: Parts, calls: TimedCalls, code: Ints, many: int) -> Ints:
    of_calls = _adding_up(within(parts, calls.start_ns, calls.end_ns), calls.exposed_ns)
    return np.stack([sums(code, part, many) for part in of_calls.T], axis=1)


def _adding_up(parts: Ints, whole: Ints) -> Ints:
    """Scaled to the whole: between the kernels of one call another call may be exposed, which is none of its time."""
    over = parts.sum(axis=1) - whole
    for part in reversed(range(parts.shape[1])):
        taken = np.clip(over, 0, parts[:, part])
        parts[:, part] -= taken
        over -= taken
    parts[:, -1] -= over
    return parts
