"""Layers of one class together, opening to the single ones, and the parallel axes that calls go along."""

from msgspec.structs import replace

from tests import reports
from tests.page import Page
from traceana.render.answer.top import top_of_run
from traceana.render.html import render
from traceana.render.sections.axes import axis_table
from traceana.render.sections.layers import MOST_ROWS, layer_table
from traceana.report import AxisCalls, LayerCalls, ModuleCalls, Report, RunReport


def module(path: str, exposed_ns: int) -> ModuleCalls:
    return ModuleCalls(
        path=path,
        count=4,
        p50_ns=10_000,
        transfer_p50_ns=None,
        sum_ns=2 * exposed_ns,
        exposed_ns=exposed_ns,
        wait_ns=1_000,
    )


def layers(count: int, layer: str | None = "WanBlock") -> LayerCalls:
    """Of so many layers, the last of which has the most exposed time."""
    modules = tuple(module(f"blocks.{number}.attn", 100_000 * (number + 1)) for number in reversed(range(count)))
    return LayerCalls(
        layer=layer,
        layers=count,
        path="blocks.*.attn",
        module="Attention",
        count=4 * count,
        p50_ns=10_000,
        transfer_p50_ns=None,
        sum_ns=sum(one.sum_ns for one in modules),
        exposed_ns=sum(one.exposed_ns for one in modules),
        wait_ns=sum(one.wait_ns for one in modules),
        modules=modules,
    )


def issued(run: RunReport, *found: LayerCalls) -> RunReport:
    """The same run, the calls of its first operation issued by these layers."""
    first, *others = run.operations
    return replace(run, operations=(replace(first, layers=found), *others))


def axis(name: str | None, exposed_ns: int, groups: int = 2) -> AxisCalls:
    return AxisCalls(
        axis=name,
        group_sizes=(4,),
        groups=groups,
        count=16,
        sum_ns=2 * exposed_ns,
        exposed_ns=exposed_ns,
        wait_ns=exposed_ns // 2,
    )


def of_two(change: RunReport, other: RunReport) -> Report:
    return reports.report(change, other, comparisons=(reports.compare(change, other),))


def test_layers_of_one_class_are_one_row_that_opens_to_the_single_ones() -> None:
    slow, fast = reports.two_runs().runs
    report = of_two(issued(slow, layers(30)), issued(fast, layers(30)))
    table = layer_table(report)
    assert table is not None
    (row,) = table.rows
    assert (row.name, row.path, row.op, row.message_bytes) == ("WanBlock × 30", "blocks.*.attn", "all_to_all", 12 << 20)
    assert [cell.exposed_ns for cell in row.cells if cell] == [sum(range(1, 31)) * 100_000 / 2] * 2
    assert [single.path for single in row.singles] == [f"blocks.{number}.attn" for number in reversed(range(30))]
    page = Page(render(report))
    assert "WanBlock × 30, blocks.*.attn, all_to_all 12 MiB: layer by layer" in page.text
    assert {"layers", "axes"} & set(page.ids) == {"layers"}


def test_the_first_screen_names_the_layers() -> None:
    (run,) = reports.one_run().runs
    top = top_of_run(issued(run, layers(30), layers(1, layer=None)))
    assert (top[0].site, top[0].other_sites) == ("WanBlock × 30", 1)
    assert "exposed a rank in WanBlock × 30" in Page(render(reports.report(issued(run, layers(30))))).text


def test_a_layer_by_itself_does_not_open_and_few_rows_are_shown() -> None:
    (run,) = reports.one_run().runs
    table = layer_table(reports.report(issued(run, layers(1, layer=None))))
    assert table is not None
    assert (table.rows[0].name, table.rows[0].singles) == ("Attention", ())
    many = tuple(replace(layers(1), path=f"part{number}.attn") for number in range(MOST_ROWS + 3))
    crowded = layer_table(reports.report(issued(run, *many)))
    assert crowded is not None
    assert (len(crowded.rows), crowded.left_out) == (MOST_ROWS, 3)
    assert layer_table(reports.report(run)) is None


def test_axes_stand_side_by_side_the_most_exposed_first() -> None:
    slow, fast = reports.two_runs().runs
    slow = replace(slow, axes=(axis("TP", 2_000_000), axis(None, 1_000, groups=0)))
    fast = replace(fast, axes=(axis("TP", 1_000_000), axis("CFG", 4_000_000, groups=1)))
    table = axis_table(of_two(slow, fast))
    assert table is not None
    assert [row.axis for row in table.rows] == ["CFG", "TP", "not told"]
    assert [[cell and (cell.groups, cell.exposed_ns) for cell in row.cells] for row in table.rows] == [
        [None, ("1 group of 4", 2_000_000)],
        [("2 groups of 4", 1_000_000), ("2 groups of 4", 500_000)],
        [("of 4", 500), None],
    ]
    text = Page(render(of_two(slow, fast))).text
    assert "Parallel axes" in text
    assert "No group's description names an axis" not in text


def test_groups_that_name_no_axis_say_how_to_name_one() -> None:
    (run,) = reports.one_run().runs
    text = Page(render(reports.report(replace(run, axes=(axis(None, 5),))))).text
    assert "No group's description names an axis: give group_desc to new_group" in text
    assert "Parallel axes" not in Page(render(reports.one_run())).text
