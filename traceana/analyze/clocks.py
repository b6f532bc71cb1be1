"""Clocks of the machines, from the ends of the collectives that they finished together.

All pairs of machines are solved for together, by least squares that outliers hardly move (Huber's weights, iterated):
the difference of two machines' ends is the difference of their offsets, and of their rates times the time that passed.
Only joint calls serve, whose ranks leave together; a broadcast's root, or a sender, may be done early.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from traceana.analyze.clock_fit import Edge, Fit, fit
from traceana.analyze.machines import Machines
from traceana.report import Clock
from traceana.trace.columns import Ints


class JointCalls(msgspec.Struct, frozen=True, kw_only=True):
    """The same joint calls on several ranks: rows are calls, columns are `ranks`, times as each clock has them."""

    ranks: tuple[int, ...]
    start_ns: Ints
    end_ns: Ints


class ClockOffsets(msgspec.Struct, frozen=True, kw_only=True):
    """`offset_ns` is to be subtracted from a rank's times, at `epoch_ns` of the common clock.

    `rate` is how much faster a rank's clock runs. `island` is equal for ranks whose clocks could be compared.
    """

    offset_ns: Mapping[int, int]
    clock: Clock
    rate: Mapping[int, float] = msgspec.field(default_factory=dict)
    epoch_ns: int = 0
    island: Mapping[int, int] = msgspec.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def common(self, rank: int, times_ns: Ints) -> Ints:
        """A rank's times on the common clock."""
        times = times_ns - self.offset_ns.get(rank, 0)
        rate = self.rate.get(rank, 0.0)
        return times - np.rint((times - self.epoch_ns) * rate).astype(np.int64) if rate else times

    def own(self, rank: int, common_ns: Ints) -> Ints:
        """Times of the common clock on a rank's own."""
        rate = self.rate.get(rank, 0.0)
        ahead: Ints = np.rint((common_ns - self.epoch_ns) * (rate / (1 - rate))).astype(np.int64)
        return common_ns + ahead + self.offset_ns.get(rank, 0)

    def comparable(self, ranks: Iterable[int]) -> bool:
        """Whether times of these ranks can be compared."""
        return len({self.island.get(rank, 0) for rank in ranks}) <= 1


def estimate(calls: Iterable[JointCalls], machines: Machines) -> ClockOffsets:
    """Offsets of all ranks against the lowest rank's machine, or against the lowest one that can be compared."""
    heads = sorted(set(machines.of_rank.values()))
    if len(heads) < 2:
        calls = list(calls)
        return ClockOffsets(
            offset_ns=dict.fromkeys(machines.of_rank, 0),
            clock=Clock(method="shared" if calls else "unknown", residual_ns=_shared_residual(calls)),
        )
    found = fit(heads, _edges(calls, machines))
    compared = any(found.island[head] != head for head in heads)
    return ClockOffsets(
        offset_ns={rank: found.offset_ns[head] for rank, head in machines.of_rank.items()},
        rate={rank: found.rate[head] for rank, head in machines.of_rank.items() if found.rate[head]},
        epoch_ns=found.epoch_ns,
        island={rank: found.island[head] for rank, head in machines.of_rank.items()},
        clock=Clock(
            method="collectives" if compared else "unknown",
            residual_ns=found.bound_ns,
            drift_ppm=_drift_ppm(found),
        ),
        notes=_notes(found, heads),
    )


def _drift_ppm(found: Fit) -> float:
    rates = list(found.rate.values())
    return 1e6 * (max(rates) - min(rates))


def _notes(found: Fit, heads: Sequence[int]) -> tuple[str, ...]:
    notes = []
    if any(found.rate.values()):
        notes.append(f"clocks drift apart by up to {_drift_ppm(found):.1f} ppm; times are corrected for it")
    islands = {found.island[head] for head in heads}
    if len(islands) > 1:
        notes.append(
            f"the clocks of {len(islands)} sets of hosts could not be compared, since no collective that all leave "
            "together is matched between them (a broadcast's root may leave early): waits that cross them are not known"
        )
    return tuple(notes)


def _shared_residual(calls: Sequence[JointCalls]) -> int | None:
    apart = [np.abs(one.end_ns[:, 1:] - one.end_ns[:, :1]).ravel() for one in calls if len(one.end_ns)]
    return round(float(np.median(np.concatenate(apart)))) if apart else None


def _edges(calls: Iterable[JointCalls], machines: Machines) -> list[Edge]:
    found: dict[tuple[int, int], list[Edge]] = {}
    for one in calls:
        heads = np.array([machines.of_rank[rank] for rank in one.ranks])
        present = np.unique(heads).tolist()
        first = _Of(one, heads == present[0])
        for head in present[1:]:
            found.setdefault((present[0], head), []).append(_edge(present[0], head, first, _Of(one, heads == head)))
    return [_joined(parts) for _, parts in sorted(found.items())]


class _Of:
    """One machine's ranks in joint calls: when all had come, when the first left, and when they left in the middle."""

    def __init__(self, calls: JointCalls, columns: npt.NDArray[np.bool_]) -> None:
        ends = calls.end_ns[:, columns]
        self.came = calls.start_ns[:, columns].max(axis=1)
        self.left = ends.min(axis=1)
        self.end = np.sort(ends, axis=1)[:, ends.shape[1] // 2]


def _edge(first: int, second: int, a: _Of, b: _Of) -> Edge:
    return Edge(
        first=first,
        second=second,
        at_ns=a.end,
        difference_ns=b.end - a.end,
        least_ns=b.came - a.left,
        most_ns=b.left - a.came,
    )


def _joined(edges: Sequence[Edge]) -> Edge:
    return Edge(
        first=edges[0].first,
        second=edges[0].second,
        at_ns=np.concatenate([edge.at_ns for edge in edges]),
        difference_ns=np.concatenate([edge.difference_ns for edge in edges]),
        least_ns=np.concatenate([edge.least_ns for edge in edges]),
        most_ns=np.concatenate([edge.most_ns for edge in edges]),
    )
