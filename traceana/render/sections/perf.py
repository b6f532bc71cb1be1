"""sglang's own times and memory, from its perf dumps, a column a side."""

from collections.abc import Callable, Iterable
from statistics import median

import msgspec

from traceana.render.page.marks import RunMark, runs_by_side
from traceana.render.page.section import Section
from traceana.report import PerfDump, Report

REQUEST = "whole request"


class PerfRow(msgspec.Struct, frozen=True, kw_only=True):
    """One stage or checkpoint: the median over a side's dumps in ns or bytes, None where it has none.

    `ratio` is the first side's over the second's, where there are two.
    """

    name: str
    values: tuple[float | None, ...]
    ratio: float | None


class PerfTables(msgspec.Struct, frozen=True, kw_only=True):
    """Only sides that have dumps; both tables empty where none has."""

    sides: tuple[RunMark, ...]
    times: tuple[PerfRow, ...]
    memory: tuple[PerfRow, ...]
    slowed: tuple[str, ...]
    """Dumps whose times are not the program's own, and why."""


def perf_tables(report: Report) -> PerfTables:
    """The whole request, then its stages, in the order of the dumps; and the peaks of allocated memory."""
    found = {
        mark: dumps
        for mark, runs in runs_by_side(report).items()
        if (dumps := [dump for run in runs for dump in run.perf_dumps])
    }
    return PerfTables(
        sides=tuple(found),
        times=tuple(_rows(list(found.values()), _times)),
        memory=tuple(_rows(list(found.values()), _peaks)),
        slowed=tuple(f"{dump.file}: {dump.slowed}" for dumps in found.values() for dump in dumps if dump.slowed),
    )


def _times(dump: PerfDump) -> dict[str, int]:
    return {REQUEST: dump.total_ns, **{stage.name: stage.duration_ns for stage in dump.stages}}


def _peaks(dump: PerfDump) -> dict[str, int]:
    peaks = {point.name: point.peak_allocated_bytes for point in dump.memory}
    return {name: peak for name, peak in peaks.items() if peak is not None}


def _rows(sides: list[list[PerfDump]], values: Callable[[PerfDump], dict[str, int]]) -> Iterable[PerfRow]:
    read = [[values(dump) for dump in side] for side in sides]
    for name in dict.fromkeys(name for side in read for dump in side for name in dump):
        of_sides = [[dump[name] for dump in side if name in dump] for side in read]
        middle = tuple(float(median(found)) if found else None for found in of_sides)
        ratio = middle[0] / middle[1] if len(middle) == 2 and middle[0] and middle[1] else None
        yield PerfRow(name=name, values=middle, ratio=ratio)


def _perf(report: Report) -> PerfTables | None:
    tables = perf_tables(report)
    return tables if tables.times else None


SECTION = Section(name="perf", title="By sglang's own clock", view=_perf)
