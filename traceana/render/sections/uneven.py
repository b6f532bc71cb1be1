"""Collectives whose sizes differ by rank: who sends and receives how much, and to whom."""

import msgspec

from traceana import units
from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.section import Section
from traceana.report import Report, UnevenSizes

SHADES = 6
"""How many shades report.css defines for heat maps, 0 being none."""
MOST_DRAWN = 64
"""Ranks up to which a matrix is drawn."""


class MatrixCell(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes from one rank to another."""

    number: int
    shade: int


class UnevenRow(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of one group in one run; `matrix` is None where splits are not told or ranks are too many."""

    run: RunMark
    data: UnevenSizes
    group: str
    matrix: tuple[tuple[MatrixCell, ...], ...] | None


def uneven_rows(report: Report) -> tuple[UnevenRow, ...]:
    """All of all runs, in the report's order."""
    return tuple(_row(mark, data) for mark, run in marked_runs(report) for data in run.uneven)


def _row(mark: RunMark, data: UnevenSizes) -> UnevenRow:
    group = f"rank {units.number_ranges(data.ranks)}"
    named = f"{data.group_name}: {group}" if data.group_name else group
    return UnevenRow(run=mark, data=data, group=named, matrix=_matrix(data))


def _matrix(data: UnevenSizes) -> tuple[tuple[MatrixCell, ...], ...] | None:
    if data.matrix is None or len(data.ranks) > MOST_DRAWN:
        return None
    most = max((number for row in data.matrix for number in row), default=0)
    return tuple(
        tuple(MatrixCell(number=number, shade=round((SHADES - 1) * number / most) if most else 0) for number in row)
        for row in data.matrix
    )


SECTION = Section(name="uneven", title="Uneven sizes", view=uneven_rows)
