"""Parallel axes: what each way of dividing the work (TP, SP, ring, CFG, …) costs in communication."""

import msgspec

from traceana import units
from traceana.render.page.marks import RunMark, runs_by_side
from traceana.render.page.section import Section
from traceana.report import AxisCalls, Report

NOT_TOLD = "not told"


class AxisCell(msgspec.Struct, frozen=True, kw_only=True):
    """One side's calls of an axis: times in ns on a mean rank of a mean run; `groups` as "4 groups of 2"."""

    groups: str
    count: int
    exposed_ns: float
    wait_ns: float
    sum_ns: float


class AxisRow(msgspec.Struct, frozen=True, kw_only=True):
    """One axis, an entry a side; None where a side has no such call."""

    axis: str
    cells: tuple[AxisCell | None, ...]


class AxisTable(msgspec.Struct, frozen=True, kw_only=True):
    """Axes by their exposed time."""

    sides: tuple[RunMark, ...]
    rows: tuple[AxisRow, ...]
    told: bool
    """Whether any group's description names an axis."""


def axis_table(report: Report) -> AxisTable | None:
    """All axes of all sides; None where no run's are known."""
    sides = runs_by_side(report)
    by_axis: dict[str, list[list[AxisCalls]]] = {}
    for index, runs in enumerate(sides.values()):
        for found in (found for run in runs for found in run.axes):
            by_axis.setdefault(found.axis or NOT_TOLD, [[] for _ in sides])[index].append(found)
    ranks = [max(1, sum(len(run.ranks) for run in runs)) for runs in sides.values()]
    rows = [
        AxisRow(axis=axis, cells=tuple(_cell(found, count) for found, count in zip(of_sides, ranks, strict=True)))
        for axis, of_sides in by_axis.items()
    ]
    rows.sort(key=lambda row: -sum(cell.exposed_ns for cell in row.cells if cell))
    return AxisTable(sides=tuple(sides), rows=tuple(rows), told=set(by_axis) != {NOT_TOLD}) if rows else None


def _cell(found: list[AxisCalls], ranks: int) -> AxisCell | None:
    if not found:
        return None
    return AxisCell(
        groups=_groups(found[0]),
        count=sum(one.count for one in found),
        exposed_ns=sum(one.exposed_ns for one in found) / ranks,
        wait_ns=sum(one.wait_ns for one in found) / ranks,
        sum_ns=sum(one.sum_ns for one in found) / ranks,
    )


def _groups(found: AxisCalls) -> str:
    sizes = " and ".join(map(str, found.group_sizes))
    if not found.groups:
        return f"of {sizes}" if sizes else units.UNKNOWN
    return f"{units.plural(found.groups, 'group')} of {sizes}" if sizes else units.plural(found.groups, "group")


SECTION = Section(name="axes", title="Parallel axes", view=axis_table)
