"""Who waits for whom: the wait matrix of rank and operation, and the ranks that arrive last."""

from dataclasses import dataclass

from traceana import units
from traceana.render.page import open_at
from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.section import Section
from traceana.report import Clock, RankWait, Report, RunReport

SHADES = 6
"""How many shades report.css defines for the heat map, 0 being none."""
MOST_STRAGGLERS = 16
MOST_DETAILED = 32
"""Ranks of which the matrix says more on hover: thousands of cells would double the page for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The waiting of one rank in one operation."""

    op: str
    shade: int
    mean_ns: float
    title: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """One rank's cells and their sum; None where the rank never called the operation in a matched collective."""

    rank: int
    cells: tuple[Cell | None, ...]
    total_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StragglerRow:
    """One rank as the last to arrive; `length` of its bar, in percent of the run's longest."""

    rank: int
    times_last: int
    length: float
    wait_caused_ns: int
    mean_ns: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LongestWait:
    """An operation that waited, and the command that opens its longest wait on the timeline; None for a name that
    must not be pasted."""

    op: str
    command: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """One run's waiting and the clock it was read from."""

    run: RunMark
    ops: tuple[str, ...]
    rows: tuple[MatrixRow, ...]
    stragglers: tuple[StragglerRow, ...]
    """Those that cost their peers most time, at most MOST_STRAGGLERS."""
    other_stragglers: int
    longest: str | None
    """The command that opens the run's longest wait on the timeline."""
    longest_by_op: tuple[LongestWait, ...]
    """Of each operation, where several waited."""
    clock: str
    doubtful: bool
    """Whether the clocks leave the waits in doubt."""


def waits(report: Report) -> tuple[Waits, ...]:
    """One per run, in one order and shaded on one scale, so that runs can be compared."""
    worst = max((_mean(wait) for run in report.runs for wait in run.waits), default=0)
    totals: dict[str, int] = {}
    for wait in (wait for run in report.runs for wait in run.waits):
        totals[wait.op] = totals.get(wait.op, 0) + wait.wait_ns
    ops = sorted(totals, key=lambda op: -totals[op])
    return tuple(_waits(mark, run, ops, worst) for mark, run in marked_runs(report))


def _waits(mark: RunMark, run: RunReport, every_op: list[str], worst: float) -> Waits:
    found = {wait.op for wait in run.waits}
    ops = tuple(op for op in every_op if op in found)
    waited = [op for op in ops if any(wait.wait_ns for wait in run.waits if wait.op == op)]
    return Waits(
        run=mark,
        ops=ops,
        rows=_matrix(run.waits, ops, worst),
        stragglers=_stragglers(run),
        other_stragglers=max(0, len(run.stragglers) - MOST_STRAGGLERS),
        longest=open_at.of_worst_wait(run) if waited else None,
        longest_by_op=tuple(LongestWait(op=op, command=open_at.of_worst_wait(run, op)) for op in waited)
        if len(waited) > 1
        else (),
        clock=clock_sentence(run.clock),
        doubtful=run.clock.method == "unknown",
    )


def _matrix(waits: tuple[RankWait, ...], ops: tuple[str, ...], worst: float) -> tuple[MatrixRow, ...]:
    by_place = {(wait.rank, wait.op): wait for wait in waits}
    ranks = sorted({wait.rank for wait in waits})
    detailed = len(ranks) <= MOST_DETAILED
    rows = []
    for rank in ranks:
        found = [by_place.get((rank, op)) for op in ops]
        total = sum(wait.wait_ns for wait in found if wait)
        cells = tuple(_cell(wait, worst, detailed) if wait else None for wait in found)
        rows.append(MatrixRow(rank=rank, cells=cells, total_ns=total))
    return tuple(rows)


def _cell(wait: RankWait, worst: float, detailed: bool) -> Cell:
    mean = _mean(wait)
    return Cell(
        op=wait.op,
        shade=round((SHADES - 1) * mean / worst) if worst else 0,
        mean_ns=mean,
        title=f"{units.plural(wait.calls, 'call')}, {units.duration(wait.wait_ns)} in all" if detailed else None,
    )


def _mean(wait: RankWait) -> float:
    return wait.wait_ns / wait.calls if wait.calls else 0


def _stragglers(run: RunReport) -> tuple[StragglerRow, ...]:
    most = max((straggler.times_last for straggler in run.stragglers), default=0)
    return tuple(
        StragglerRow(
            rank=straggler.rank,
            times_last=straggler.times_last,
            length=100 * straggler.times_last / most if most else 0,
            wait_caused_ns=straggler.wait_caused_ns,
            mean_ns=straggler.wait_caused_ns / straggler.times_last if straggler.times_last else 0,
        )
        for straggler in sorted(run.stragglers, key=lambda straggler: -straggler.wait_caused_ns)[:MOST_STRAGGLERS]
    )


def clock_sentence(clock: Clock) -> str:
    """How the ranks' clocks were brought together, and how well."""
    if clock.method == "shared":
        how = "all ranks ran on one host and share its clock."
    elif clock.method == "collectives":
        how = "the ranks' clocks were aligned by the ends of matched collectives."
    else:
        how = "no matched collective allowed to align the ranks' clocks, so no waiting is known."
    if clock.residual_ns is None:
        return how
    return f"{how} What is left between them is {units.duration(clock.residual_ns)}; shorter waits mean nothing."


SECTION = Section(name="waits", link="Waiting", view=waits)
