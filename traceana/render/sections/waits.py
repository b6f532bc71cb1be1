"""Who waits for whom: the wait matrix of rank and operation, and the ranks that arrive last."""

from collections.abc import Sequence
from statistics import median

import msgspec

from traceana import units
from traceana.render.page import open_at
from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.rest import split
from traceana.render.page.section import Section
from traceana.render.page.waiting import certain_waits, is_certain, mean_wait_ns
from traceana.report import Clock, RankWait, Report, RunReport, Straggler

SHADES = 6
"""How many shades report.css defines for the heat map, 0 being none."""
MOST_STRAGGLERS = 16
MOST_IN_ORDER = 16
"""Of more ranks those that differ most from the typical one come first."""
MOST_DETAILED = 32
"""Ranks of which the matrix says more on hover: thousands of cells would double the page for it."""

SMALLEST_DRIFT_PPM = 0.01
"""Of the clocks' rates: less is 10 ns in a second."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """The waiting of one rank in one operation."""

    op: str
    shade: int
    mean_ns: float
    certain: bool
    """False where the wait is shorter than the clock residual: it is greyed and in no sum."""
    title: str | None


class MatrixRow(msgspec.Struct, frozen=True, kw_only=True):
    """One rank's cells and their sum; None where the rank never called the operation in a matched collective."""

    rank: int
    cells: tuple[Cell | None, ...]
    total_ns: int | None
    """Of the certain cells; None without any."""


class StragglerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One rank as the last to arrive; `length` of its bar, in percent of the run's longest."""

    rank: int
    times_last: int
    length: float
    wait_caused_ns: int
    mean_ns: float
    certain: bool


class LongestWait(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that waited, and the command that opens its longest wait on the timeline; None for a name that
    must not be pasted."""

    op: str
    command: str | None


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """One run's waiting and the clock it was read from."""

    run: RunMark
    ops: tuple[str, ...]
    rows: Sequence[MatrixRow]
    rest: Sequence[MatrixRow]
    """The rows that are shown when they are asked for."""
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
    greyed: bool
    """Whether any cell or straggler is."""
    unmatched: int
    """Calls whose waiting is not known."""


def waits(report: Report) -> tuple[Waits, ...]:
    """One per run, in one order and shaded on one scale, so that runs can be compared."""
    worst = max((mean_wait_ns(wait) for run in report.runs for wait in certain_waits(run)), default=0)
    totals: dict[str, int] = {}
    for wait in (wait for run in report.runs for wait in run.waits):
        totals[wait.op] = totals.get(wait.op, 0) + wait.steady_wait_ns
    ops = sorted(totals, key=lambda op: -totals[op])
    return tuple(_waits(mark, run, ops, worst) for mark, run in marked_runs(report))


def _waits(mark: RunMark, run: RunReport, every_op: list[str], worst: float) -> Waits:
    found = {wait.op for wait in run.waits}
    ops = tuple(op for op in every_op if op in found)
    waited = [op for op in ops if any(wait.steady_wait_ns for wait in certain_waits(run) if wait.op == op)]
    matrix, stragglers = _matrix(run, ops, worst), _stragglers(run)
    rows, rest = split(matrix)
    return Waits(
        run=mark,
        ops=ops,
        rows=rows,
        rest=rest,
        stragglers=stragglers,
        other_stragglers=max(0, len(run.stragglers) - MOST_STRAGGLERS),
        longest=open_at.of_worst_wait(run) if waited else None,
        longest_by_op=tuple(LongestWait(op=op, command=open_at.of_worst_wait(run, op)) for op in waited)
        if len(waited) > 1
        else (),
        clock=clock_sentence(run.clock),
        doubtful=run.clock.method == "unknown",
        greyed=not all(cell.certain for row in matrix for cell in row.cells if cell)
        or not all(row.certain for row in stragglers),
        unmatched=run.coverage.collectives - run.coverage.matched,
    )


def _matrix(run: RunReport, ops: tuple[str, ...], worst: float) -> tuple[MatrixRow, ...]:
    by_place = {(wait.rank, wait.op): wait for wait in run.waits}
    ranks = sorted({wait.rank for wait in run.waits})
    detailed = len(ranks) <= MOST_DETAILED
    rows = []
    for rank in ranks:
        found = [by_place.get((rank, op)) for op in ops]
        known = [wait.steady_wait_ns for wait in found if wait and is_certain(mean_wait_ns(wait), run.clock)]
        cells = tuple(_cell(wait, run.clock, worst, detailed) if wait else None for wait in found)
        rows.append(MatrixRow(rank=rank, cells=cells, total_ns=sum(known) if known else None))
    if len(rows) > MOST_IN_ORDER:
        typical = median(row.total_ns or 0 for row in rows)
        rows.sort(key=lambda row: -abs((row.total_ns or 0) - typical))
    return tuple(rows)


def _cell(wait: RankWait, clock: Clock, worst: float, detailed: bool) -> Cell:
    mean = mean_wait_ns(wait)
    certain = is_certain(mean, clock)
    return Cell(
        op=wait.op,
        shade=round((SHADES - 1) * mean / worst) if worst and certain else 0,
        mean_ns=mean,
        certain=certain,
        title=_title(wait) if detailed else None,
    )


def _title(wait: RankWait) -> str:
    steady = f"{units.plural(wait.steady_calls, 'steady call')}, {units.duration(wait.steady_wait_ns)} in all"
    if not wait.warm_up_calls:
        return steady
    return f"{steady}; {units.plural(wait.warm_up_calls, 'call')} of warm-up, {units.duration(wait.warm_up_wait_ns)}"


def _stragglers(run: RunReport) -> tuple[StragglerRow, ...]:
    most = max((straggler.steady_times_last for straggler in run.stragglers), default=0)
    worst = sorted(run.stragglers, key=lambda straggler: -straggler.steady_wait_caused_ns)[:MOST_STRAGGLERS]
    return tuple(_straggler(straggler, most, run.clock) for straggler in worst)


def _straggler(straggler: Straggler, most: int, clock: Clock) -> StragglerRow:
    times, caused = straggler.steady_times_last, straggler.steady_wait_caused_ns
    mean = caused / times if times else 0
    return StragglerRow(
        rank=straggler.rank,
        times_last=times,
        length=100 * times / most if most else 0,
        wait_caused_ns=caused,
        mean_ns=mean,
        certain=is_certain(mean, clock),
    )


def clock_sentence(clock: Clock) -> str:
    """How the ranks' clocks were brought together, and how well."""
    if clock.method == "shared":
        how = "all ranks ran on one host and share its clock."
    elif clock.method == "collectives":
        how = "the ranks' clocks were aligned by the ends of matched collectives."
    else:
        how = "no matched collective allowed to align the ranks' clocks, so no waiting is known."
    if abs(clock.drift_ppm) >= SMALLEST_DRIFT_PPM:
        how = f"{how} Their rates differ by {clock.drift_ppm:.3g} ppm, which is taken out."
    if clock.residual_ns is None:
        return how
    return f"{how} What is left between them is {units.duration(clock.residual_ns)}; shorter waits mean nothing."


SECTION = Section(name="waits", title="Who waits for whom", view=waits)
