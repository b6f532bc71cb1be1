"""Who came last while others waited, and what it did for longer than they; and where hosts were while GPUs waited."""

from collections import Counter

import msgspec

from traceana import units
from traceana.render.answer.late import LATE_BY, kernel_name
from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.section import Section
from traceana.report import Lateness, Report, RunReport

KINDS = {
    "operator": "operator",
    "frame": "Python, outside of operators",
    "span": "span, outside of operators",
    "nothing": "outside of all spans",
    "rest": "other places",
}


class LateRow(msgspec.Struct, frozen=True, kw_only=True):
    """One rank, times in ns; `by` in the order of `RunLate.causes`, `spent_in` what took it longer, in words."""

    rank: int
    late_ns: int
    caused_ns: int
    rooted_ns: int
    by: tuple[int, ...]
    spent_in: str


class PlaceRow(msgspec.Struct, frozen=True, kw_only=True):
    """Where hosts were: ns on a mean rank, and its share of the time in which hosts were behind."""

    name: str
    kind: str
    ns: float
    share: float


class RunLate(msgspec.Struct, frozen=True, kw_only=True):
    """One run; `causes` are those that any of its rows has, `steady` says that warm-up is left out of them."""

    run: RunMark
    causes: tuple[str, ...]
    rows: tuple[LateRow, ...]
    steady: bool
    places: tuple[PlaceRow, ...]


def late(report: Report) -> tuple[RunLate, ...]:
    """All runs in which a rank is known to be late, or a host behind."""
    found = (_of_run(mark, run) for mark, run in marked_runs(report))
    return tuple(one for one in found if one.rows or one.places)


def _of_run(mark: RunMark, run: RunReport) -> RunLate:
    steady = any(one.steady for one in run.late)
    shown = [(one.rank, one.steady if steady else one.calls) for one in run.late]
    known = [(rank, found) for rank, found in shown if found]
    causes = [(name, ns) for name, ns in LATE_BY if any(ns(found.by) for _, found in known)]
    return RunLate(
        run=mark,
        causes=tuple(name for name, _ in causes),
        rows=tuple(_row(rank, found, tuple(ns(found.by) for _, ns in causes)) for rank, found in known),
        steady=steady,
        places=_places(run),
    )


def _row(rank: int, found: Lateness, by: tuple[int, ...]) -> LateRow:
    kernels = [(kernel_name(kernel.name), kernel.ns) for kernel in found.kernels]
    places = [(place.name or KINDS[place.kind], place.ns) for place in found.host]
    largest = sorted((*kernels, *places), key=lambda part: -part[1])[:2]
    return LateRow(
        rank=rank,
        late_ns=found.late_ns,
        caused_ns=found.wait_caused_ns,
        rooted_ns=found.rooted_ns,
        by=by,
        spent_in=", ".join(f"{name} {units.duration(ns)}" for name, ns in largest),
    )


def _places(run: RunReport) -> tuple[PlaceRow, ...]:
    """Those of all ranks, the largest first and the rest last."""
    sums: Counter[tuple[str, str]] = Counter()
    for rank in run.ranks:
        for place in rank.host_behind_in:
            sums[place.kind, place.name] += place.ns
    whole = sum(sums.values())
    ordered = sorted(sums.items(), key=lambda item: (item[0][0] == "rest", -item[1]))
    return tuple(
        PlaceRow(name=name, kind=KINDS[kind], ns=ns / len(run.ranks), share=ns / whole)
        for (kind, name), ns in ordered
        if ns
    )


SECTION = Section(name="late", title="Who is late, and why", view=late)
