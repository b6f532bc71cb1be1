"""The price of overlap: compute that communication covers runs slower (nccl#338, nccl#1428).

Kernels of one name, grid and block are compared: those that communication covers almost wholly with the median of those
that it hardly touches. Durations are skewed, so that sums exceed medians anyway: what chance does is seen by shuffling,
inside each kind of kernel, which of them count as covered, and its mean is taken off.

One kernel with one grid may do unlike work at different places of a program, and only some of these may be covered. So
those that also have the same neighbours on their stream must say the same, where there are enough of them.
"""

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from traceana.analyze.intervals import Intervals, covered
from traceana.trace.columns import Activities, Ints

COVERED, FREE = 0.9, 0.02
FEWEST = 5
"""Kernels of one kind on either side."""
SHUFFLES = 500
CERTAIN = 0.025
"""The share of shufflings that may cost as much: 5 % on both sides together."""
# The kinds with the most covered time, and so many kernels of each, bound what a long recording costs.
_MOST_KINDS, _MOST_KERNELS = 40, 128

Floats = npt.NDArray[np.float64]


class Shuffled(msgspec.Struct, frozen=True, kw_only=True):
    """By how much covered kernels took longer than is usual for their kind, ns together, and in each shuffling."""

    kernels: int
    extra_ns: float
    by_chance_ns: Floats


class CoveredCompute(msgspec.Struct, frozen=True, kw_only=True):
    """One rank's covered kernels that could be compared, in order of start, each with its kind's `usual_ns`.

    `same_place` are those of them whose neighbours are the same too.
    """

    start_ns: Ints
    end_ns: Ints
    usual_ns: Ints
    all: Shuffled
    same_place: Shuffled


class _Kernels(msgspec.Struct, frozen=True, kw_only=True):
    """Compute kernels in order of stream and start: the share of each that communication covers."""

    start_ns: Ints
    end_ns: Ints
    duration_ns: Ints
    share: Floats
    kind: Ints
    place: Ints


def covered_compute(activities: Activities, rows: Ints, communication: Intervals) -> CoveredCompute:
    """Of the compute kernels `rows` of one device. Kernels without a grid in the trace may be of any size."""
    kernels = _kernels(activities, rows, communication)
    chance = np.random.default_rng(0)
    usual = np.full(len(kernels.kind), -1, dtype=np.int64)
    for beside, free in _kinds(kernels, kernels.kind):
        usual[beside] = np.rint(np.median(kernels.duration_ns[free])).astype(np.int64)
    found = np.flatnonzero(usual >= 0)
    found = found[np.argsort(kernels.start_ns[found], kind="stable")]
    return CoveredCompute(
        start_ns=kernels.start_ns[found],
        end_ns=kernels.end_ns[found],
        usual_ns=usual[found],
        all=_shuffled(kernels, kernels.kind, chance),
        same_place=_shuffled(kernels, kernels.place, chance),
    )


def _kernels(activities: Activities, rows: Ints, communication: Intervals) -> _Kernels:
    rows = rows[(activities.end_ns[rows] > activities.start_ns[rows]) & (activities.shape[rows] >= 0)]
    rows = rows[np.lexsort((activities.start_ns[rows], activities.stream[rows]))]
    start, end = activities.start_ns[rows], activities.end_ns[rows]
    kind = _codes(activities.name[rows], activities.shape[rows])
    around = np.concatenate(([-1], kind, [-1]))
    return _Kernels(
        start_ns=start,
        end_ns=end,
        duration_ns=end - start,
        share=covered(start, end, communication) / (end - start),
        kind=kind,
        place=_codes(around[:-2], kind, around[2:]),
    )


def _codes(first: Ints, *others: Ints) -> Ints:
    """Equal numbers for equal rows."""
    code = first.astype(np.int64)
    for column in others:
        joined = code * (int(column.max(initial=0)) + 2) + column + 1
        code = np.unique(joined, return_inverse=True)[1].astype(np.int64)
    return code


def _kinds(kernels: _Kernels, kind: Ints) -> Iterator[tuple[Ints, Ints]]:
    """The covered and the free kernels of each kind that has enough of both, the most covered time first."""
    beside, free = kernels.share >= COVERED, kernels.share <= FREE
    kinds = int(kind.max(initial=-1)) + 1
    enough = np.minimum(np.bincount(kind[beside], minlength=kinds), np.bincount(kind[free], minlength=kinds)) >= FEWEST
    time = np.bincount(kind[beside], kernels.duration_ns[beside].astype(np.float64), kinds)
    chosen = np.flatnonzero(enough)
    for one in chosen[np.argsort(-time[chosen], kind="stable")][:_MOST_KINDS].tolist():
        mine = kind == one
        yield np.flatnonzero(mine & beside), np.flatnonzero(mine & free)


def _shuffled(kernels: _Kernels, kind: Ints, chance: np.random.Generator) -> Shuffled:
    many, extra, by_chance = 0, 0.0, np.zeros(SHUFFLES)
    for beside, free in _kinds(kernels, kind):
        covered_ns, free_ns = (_sample(kernels.duration_ns[rows]) for rows in (beside, free))
        both = np.concatenate((covered_ns, free_ns)).astype(np.float64)
        order = chance.permuted(np.broadcast_to(both, (SHUFFLES, len(both))), axis=1)
        many += len(beside)
        extra += len(beside) * float(_longer(both[None, :], len(covered_ns))[0])
        by_chance += len(beside) * _longer(order, len(covered_ns))
    return Shuffled(kernels=many, extra_ns=extra, by_chance_ns=by_chance)


def _sample(duration: Ints) -> Ints:
    """At most so many of them, evenly over time."""
    many = len(duration)
    return duration if many <= _MOST_KERNELS else duration[np.linspace(0, many - 1, _MOST_KERNELS).astype(np.int64)]


def _longer(rows: Floats, covered_ones: int) -> Floats:
    """By how much the mean of the first ones of each row exceeds the median of the others."""
    return np.asarray(rows[:, :covered_ones].mean(axis=1) - np.median(rows[:, covered_ones:], axis=1))


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Of some ranks together, in ns: see OverlapPrice for the fields."""

    kernels: int
    usual_ns: int
    extra_ns: int
    low_ns: int
    high_ns: int
    p_value: float
    certain: bool

    def of(self, covered: CoveredCompute) -> Floats:
        """What each of a rank's covered kernels took longer, as all of them did on the mean; 0 where not certain."""
        share = self.extra_ns / max(self.usual_ns, 1) if self.certain else 0.0
        return np.asarray(covered.usual_ns * share, dtype=np.float64)


def price(ranks: Iterable[CoveredCompute]) -> Price | None:
    """None where no kernel could be compared; of the ranks only sums are kept."""
    usual_ns, everywhere, same_place = 0, _Sums(), _Sums()
    for one in ranks:
        usual_ns += int(one.usual_ns.sum())
        everywhere.add(one.all)
        same_place.add(one.same_place)
    if not everywhere.kernels:
        return None
    low, high = np.quantile(everywhere.by_chance_ns, (CERTAIN, 1 - CERTAIN)).tolist()
    extra, p_value = everywhere.extra_ns, everywhere.p_value
    agrees = not same_place.kernels or same_place.p_value <= 2 * CERTAIN
    mean = float(everywhere.by_chance_ns.mean())
    return Price(
        kernels=everywhere.kernels,
        usual_ns=usual_ns,
        extra_ns=round(extra - mean),
        low_ns=round(extra - high),
        high_ns=round(extra - low),
        p_value=p_value,
        certain=p_value <= CERTAIN and agrees and extra > mean,
    )


class _Sums:
    """What ranks paid together."""

    def __init__(self) -> None:
        self.kernels = 0
        self.extra_ns = 0.0
        self.by_chance_ns: Floats = np.zeros(SHUFFLES)

    def add(self, one: Shuffled) -> None:
        self.kernels += one.kernels
        self.extra_ns += one.extra_ns
        self.by_chance_ns += one.by_chance_ns

    @property
    def p_value(self) -> float:
        """How often chance costs as much."""
        return float((1 + (self.by_chance_ns >= self.extra_ns).sum()) / (1 + len(self.by_chance_ns)))
