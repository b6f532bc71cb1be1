"""What a rank's device computed and where its host was, between the rank's calls: enough to compare ranks by."""

import msgspec
import numpy as np
import numpy.typing as npt

from traceana.analyze.causes.host import Place, Stretches
from traceana.analyze.collectives import Collectives
from traceana.analyze.intervals import in_parts
from traceana.report import HostPlace
from traceana.trace.columns import Ints, RankTrace

MOST_PLACES = 10


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of `ns` spent on one of `names` in a stretch between two marks; stretch 0 lies before the first mark."""

    stretch: Ints
    name: Ints
    ns: Ints
    names: tuple[Place, ...]


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """`marks` are the starts and ends of the rank's calls, by its own clock, as is `opened_ns`.

    `opened_ns` is when its recording began, as far as its first event tells.
    """

    opened_ns: int
    marks: Ints
    kernels: Ledger
    host: Ledger


def spent(trace: RankTrace, computed: Ints, behind: Stretches, calls: Collectives) -> Spent:
    """`computed` are the activities that are compute, `behind` is where the host was."""
    marks = np.unique(np.concatenate((calls.start_ns, calls.end_ns)))
    activities = trace.activities
    used, name = np.unique(activities.name[computed], return_inverse=True)
    kernels = Stretches(
        start_ns=activities.start_ns[computed],
        end_ns=activities.end_ns[computed],
        name=name,
        names=tuple(("kernel", trace.names[one]) for one in used.tolist()),
    )
    return Spent(opened_ns=_opened_ns(trace), marks=marks, kernels=ledger(marks, kernels), host=ledger(marks, behind))


def _opened_ns(trace: RankTrace) -> int:
    host = [rows.start_ns for rows in (trace.launches, trace.spans, trace.operators, trace.frames)]
    told = [int(times.min()) for times in host if len(times)]
    return min(told) if told else int(trace.activities.start_ns.min())


def ledger(marks: Ints, what: Stretches) -> Ledger:
    """`what` summed by stretch and name; a piece over several stretches counts to each with its part."""
    kinds = max(len(what.names), 1)
    sums = [_rows(marks, what, part, kinds) for part in in_parts(len(what.name))]
    place, ns = _summed(*(np.concatenate([np.zeros(0, dtype=np.int64), *(one[at] for one in sums)]) for at in (0, 1)))
    return Ledger(stretch=place // kinds, name=place % kinds, ns=ns, names=what.names)


def _rows(marks: Ints, what: Stretches, part: slice, kinds: int) -> tuple[Ints, Ints]:
    """Of some pieces the numbers of stretch and name together, and the ns of each."""
    start, end = what.start_ns[part], what.end_ns[part]
    first = np.searchsorted(marks, start, side="right")
    last = np.searchsorted(marks, end, side="left")
    count = np.maximum(last - first + 1, 1)
    row = np.repeat(np.arange(len(first)), count)
    stretch = first[row] + np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    edges = np.concatenate(([np.iinfo(np.int64).min], marks, [np.iinfo(np.int64).max]))
    ns = np.minimum(end[row], edges[stretch + 1]) - np.maximum(start[row], edges[stretch])
    return _summed(stretch * kinds + what.name[part][row], ns)


def _summed(place: Ints, ns: Ints) -> tuple[Ints, Ints]:
    used, index = np.unique(place, return_inverse=True)
    sums = np.zeros(len(used), dtype=np.int64)
    np.add.at(sums, index, ns)
    return used, sums


def total(of: Ledger) -> npt.NDArray[np.float64]:
    """The ns of each name."""
    return np.asarray(np.bincount(of.name, weights=of.ns, minlength=len(of.names)))


def places(host: Ledger) -> tuple[HostPlace, ...]:
    """Where the host was most, and the rest together."""
    sums = sorted(zip(total(host).tolist(), host.names, strict=True), key=lambda row: (-row[0], row[1]))
    first = [HostPlace(kind=kind, name=name, ns=int(ns)) for ns, (kind, name) in sums[:MOST_PLACES]]
    rest = int(sum(ns for ns, _ in sums[MOST_PLACES:]))
    return (*first, HostPlace(kind="rest", name="", ns=rest)) if rest else tuple(first)
