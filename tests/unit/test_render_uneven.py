"""Sizes that differ by rank, on the page."""

from msgspec.structs import replace

from tests import reports
from tests.page import Page
from traceana.render.html import render
from traceana.render.sections.all_calls import operation_rows
from traceana.render.sections.headline import step_bars
from traceana.render.sections.uneven import MOST_DRAWN, uneven_rows
from traceana.report import BytesByRank, Report, SteadyCalls, UnevenSizes

SENT = BytesByRank(by_rank=(1 << 20, 3 << 20), least=1 << 20, most=3 << 20, imbalance=1.5)
UNEVEN = UnevenSizes(
    op="all_to_all",
    group_name="ep",
    ranks=(0, 1),
    collectives=7,
    sent=SENT,
    received=None,
    matrix=((0, 1 << 20), (2 << 20, 1 << 20)),
    busbw_gbps=120.0,
)


def _report(uneven: UnevenSizes) -> Report:
    return reports.report(replace(reports.run("torch"), uneven=(uneven,)))


def test_least_most_and_imbalance_of_what_ranks_send_are_told() -> None:
    text = Page(render(_report(UNEVEN))).text
    assert "all_to_all torch ep: rank 0–1 7 1 MiB 3 MiB 1.50× – – – 120 GB/s" in text
    assert "uneven" not in Page(render(reports.one_run())).ids


def test_the_bytes_from_rank_to_rank_are_shaded_by_their_share_of_the_most() -> None:
    (row,) = uneven_rows(_report(UNEVEN))
    assert row.matrix is not None
    assert [[cell.shade for cell in cells] for cells in row.matrix] == [[0, 2], [5, 2]]
    assert "Bytes from each rank, a row, to each, a column" in Page(render(_report(UNEVEN))).text


def test_a_matrix_that_is_not_told_or_too_large_is_not_drawn() -> None:
    many = tuple(range(MOST_DRAWN + 1))
    large = replace(UNEVEN, ranks=many, matrix=tuple((0,) * len(many) for _ in many))
    for uneven in (replace(UNEVEN, matrix=None), large):
        assert [row.matrix for row in uneven_rows(_report(uneven))] == [None]
        assert "from rank to rank" not in Page(render(_report(uneven))).text


def test_the_table_of_calls_shows_the_steady_ones_and_counts_the_others() -> None:
    run = reports.run("torch")
    call = run.operations[0]
    busbw = call.busbw_gbps or 0
    slower = replace(call.duration_ns, p50=123_000_000)
    steady = SteadyCalls(count=call.count - 2, duration_ns=slower, transfer_ns=None, wait_ns=None, busbw_gbps=busbw / 2)
    report = reports.report(replace(run, operations=(replace(call, steady=steady),)))
    (row,) = operation_rows(report)
    assert row.warm_up == 2
    assert row.algbw_gbps == (call.algbw_gbps or 0) / 2
    assert "123 ms" in Page(render(report)).text
    (plain,) = operation_rows(reports.report(replace(run, operations=(call,))))
    assert (plain.warm_up, plain.times) == (0, call)


def test_waiting_is_drawn_apart_in_a_step_where_it_is_known() -> None:
    run = reports.run("torch")
    told = replace(
        run, steps=tuple(replace(step, exposed_is=reports.exposed_is(step.exposed_comm_ns)) for step in run.steps)
    )
    (plain,), (split,) = (step_bars(reports.report(one)) for one in (run, told))
    assert [part.kind for part in plain.parts] == ["compute", "unknown", "idle"]
    assert [part.kind for part in split.parts] == ["compute", "waiting", "exposed", "idle"]
    assert split.end == plain.end
