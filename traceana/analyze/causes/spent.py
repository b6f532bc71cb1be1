"""What a rank's device computed and where its host was, between the rank's calls: enough to compare ranks by."""

import msgspec
import numpy as np
import numpy.typing as npt

from traceana.analyze.causes.host import Place, Stretches
from traceana.analyze.collectives import Collectives
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
    first = np.searchsorted(marks, what.start_ns, side="right")
    last = np.searchsorted(marks, what.end_ns, side="left")
    count = np.maximum(last - first + 1, 1)
    row = np.repeat(np.arange(len(first)), count)
    stretch = first[row] + np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    edges = np.concatenate(([np.iinfo(np.int64).min], marks, [np.iinfo(np.int64).max]))
    ns = np.minimum(what.end_ns[row], edges[stretch + 1]) - np.maximum(what.start_ns[row], edges[stretch])
    kinds = max(len(what.names), 1)
    used, index = np.unique(stretch * kinds + what.name[row], return_inverse=True)
    sums = np.zeros(len(used), dtype=np.int64)
    np.add.at(sums, index, ns)
    return Ledger(stretch=used // kinds, name=used % kinds, ns=sums, names=what.names)


def total(of: Ledger) -> npt.NDArray[np.float64]:
    """The ns of each name."""
    return np.asarray(np.bincount(of.name, weights=of.ns, minlength=len(of.names)))


def places(host: Ledger) -> tuple[HostPlace, ...]:
    """Where the host was most, and the rest together."""
    sums = sorted(zip(total(host).tolist(), host.names, strict=True), key=lambda row: (-row[0], row[1]))
    first = [HostPlace(kind=kind, name=name, ns=int(ns)) for ns, (kind, name) in sums[:MOST_PLACES]]
    rest = int(sum(ns for ns, _ in sums[MOST_PLACES:]))
    return (*first, HostPlace(kind="rest", name="", ns=rest)) if rest else tuple(first)
