"""Who came last while others waited, and what it did for longer than they; and where hosts were while GPUs waited."""

from collections import Counter
from dataclasses import dataclass

from traceana import units
from traceana.render.answer.late import LATE_BY, kernel_name
from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.section import Section
from traceana.report import LateRank, Report, RunReport

KINDS = {
    "operator": "operator",
    "frame": "Python, outside of operators",
    "span": "span, outside of operators",
    "nothing": "outside of all spans",
    "rest": "other places",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LateRow:
    """One rank, times in ns; `by` in the order of `Late.causes`, `spent_in` what took it longer, in words."""

    rank: int
    late_ns: int
    caused_ns: int
    rooted_ns: int
    by: tuple[int, ...]
    spent_in: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRow:
    """Where hosts were: ns on a mean rank, and its share of the time in which hosts were behind."""

    name: str
    kind: str
    ns: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLate:
    """One run; `steady` says that warm-up is left out of its rows."""

    run: RunMark
    rows: tuple[LateRow, ...]
    steady: bool
    places: tuple[PlaceRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """All runs with something to say, and the heads of the causes' columns."""

    runs: tuple[RunLate, ...]
    causes: tuple[str, ...]


def late(report: Report) -> Late | None:
    """None where no rank is known to be late, and no host behind."""
    found = tuple(_of_run(mark, run) for mark, run in marked_runs(report))
    known = tuple(one for one in found if one.rows or one.places)
    return Late(runs=known, causes=tuple(name for name, _ in LATE_BY)) if known else None


def _of_run(mark: RunMark, run: RunReport) -> RunLate:
    steady = any(one.steady for one in run.late)
    return RunLate(
        run=mark,
        rows=tuple(_row(one, steady=steady) for one in run.late if one.steady or not steady),
        steady=steady,
        places=_places(run),
    )


def _row(one: LateRank, *, steady: bool) -> LateRow:
    found = one.steady if steady and one.steady else one.calls
    kernels = [(kernel_name(kernel.name), kernel.ns) for kernel in found.kernels]
    places = [(place.name or KINDS[place.kind], place.ns) for place in found.host]
    largest = sorted((*kernels, *places), key=lambda part: -part[1])[:3]
    return LateRow(
        rank=one.rank,
        late_ns=found.late_ns,
        caused_ns=found.wait_caused_ns,
        rooted_ns=found.rooted_ns,
        by=tuple(ns(found.by) for _, ns in LATE_BY),
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
