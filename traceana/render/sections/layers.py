"""Which layers of the model issued which calls: the layers of one class together, opening to the single ones."""

from collections.abc import Iterable, Sequence

import msgspec

from traceana.render.page.layer_names import layer_name
from traceana.render.page.marks import RunMark, runs_by_side
from traceana.render.page.section import Section
from traceana.report import LayerCalls, ModuleCalls, Report, RunReport

MOST_ROWS = 40
MOST_SINGLE = 64
"""Single layers of a row: a page of thousands helps nobody."""


class LayerCell(msgspec.Struct, frozen=True, kw_only=True):
    """One side's calls of a row: exposed time, waiting and all time in ns on a mean rank of a mean run."""

    count: int
    exposed_ns: float
    wait_ns: float
    sum_ns: float


Cells = tuple[LayerCell | None, ...]
"""An entry a side, None where it has no such call."""


class SingleRow(msgspec.Struct, frozen=True, kw_only=True):
    """One layer's module by its path from the model."""

    path: str
    cells: Cells


class LayerRow(msgspec.Struct, frozen=True, kw_only=True):
    """Modules of one class at one place of their layers, with one operation and size.

    `path` has `*` for the layer's number. `singles` is empty where there is but one; `left_out` of them are in
    report.json only.
    """

    name: str
    path: str
    module: str
    op: str
    message_bytes: int | None
    cells: Cells
    singles: tuple[SingleRow, ...]
    left_out: int


class LayerTable(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by their exposed time; `left_out` rows are in report.json only."""

    sides: tuple[RunMark, ...]
    rows: tuple[LayerRow, ...]
    left_out: int


_Key = tuple[str, str, str | None, int | None]


def layer_table(report: Report) -> LayerTable | None:
    """All sides' layers; None where no call's module is known."""
    sides = runs_by_side(report)
    found = [_by_key(runs) for runs in sides.values()]
    ranks = [max(1, sum(len(run.ranks) for run in runs)) for runs in sides.values()]
    rows = [
        _row(key, [of_side.get(key, []) for of_side in found], ranks)
        for key in dict.fromkeys(key for of_side in found for key in of_side)
    ]
    rows.sort(key=lambda row: -_exposed(row.cells))
    if not rows:
        return None
    return LayerTable(sides=tuple(sides), rows=tuple(rows[:MOST_ROWS]), left_out=max(0, len(rows) - MOST_ROWS))


def _by_key(runs: Sequence[RunReport]) -> dict[_Key, list[LayerCalls]]:
    found: dict[_Key, list[LayerCalls]] = {}
    for operation in (operation for run in runs for operation in run.operations):
        for layer in operation.layers:
            key = operation.op, layer.path, layer.module, operation.message_bytes
            found.setdefault(key, []).append(layer)
    return found


def _row(key: _Key, sides: list[list[LayerCalls]], ranks: list[int]) -> LayerRow:
    op, path, module, message_bytes = key
    first = max((layer for layers in sides for layer in layers), key=lambda layer: layer.layers)
    singles = _singles(sides, ranks)
    return LayerRow(
        name=layer_name(first),
        path=path,
        module=module or "",
        op=op,
        message_bytes=message_bytes,
        cells=tuple(_cell(layers, count) for layers, count in zip(sides, ranks, strict=True)),
        singles=singles[:MOST_SINGLE] if len(singles) > 1 else (),
        left_out=max(0, len(singles) - MOST_SINGLE),
    )


def _singles(sides: list[list[LayerCalls]], ranks: list[int]) -> tuple[SingleRow, ...]:
    modules: list[dict[str, list[ModuleCalls]]] = [{} for _ in sides]
    for of_side, layers in zip(modules, sides, strict=True):
        for module in (module for layer in layers for module in layer.modules):
            of_side.setdefault(module.path, []).append(module)
    rows = [
        SingleRow(
            path=path,
            cells=tuple(_cell(one.get(path, ()), count) for one, count in zip(modules, ranks, strict=True)),
        )
        for path in dict.fromkeys(path for of_side in modules for path in of_side)
    ]
    return tuple(sorted(rows, key=lambda row: -_exposed(row.cells)))


def _cell(calls: Iterable[LayerCalls | ModuleCalls], ranks: int) -> LayerCell | None:
    known = list(calls)
    if not known:
        return None
    return LayerCell(
        count=sum(one.count for one in known),
        exposed_ns=sum(one.exposed_ns for one in known) / ranks,
        wait_ns=sum(one.wait_ns for one in known) / ranks,
        sum_ns=sum(one.sum_ns for one in known) / ranks,
    )


def _exposed(cells: Cells) -> float:
    return sum(cell.exposed_ns for cell in cells if cell)


SECTION = Section(name="layers", title="Layers", view=layer_table)
