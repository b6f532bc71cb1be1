"""What a number on the page stands on: the device, the clocks, the basis, and the quotient of two times."""

import re

import pytest
from msgspec.structs import replace

from tests import reports
from tests.page import Page
from tests.report_variants import on_the_host
from traceana.render.html import render
from traceana.render.page.quotient import definition
from traceana.render.sections.sizes import bandwidth_charts, ranges
from traceana.render.sections.spans import step_charts
from traceana.render.sections.waits import clock_sentence, waits
from traceana.render.text.comparison_tables import of_runs
from traceana.report import Clock, RankWait, Straggler


def test_a_report_of_the_host_alone_says_nothing_of_time_on_a_gpu() -> None:
    text = Page(render(on_the_host())).text
    assert "what its host did" in text
    assert "time on the GPU" not in text
    assert "its GPU did" not in text
    assert "what its GPU did" in Page(render(reports.one_run())).text


def test_a_step_has_one_time_in_the_report() -> None:
    run = reports.run("torch")
    (chart,) = (chart for chart in step_charts(reports.report(run)) if chart.name == "denoise_step")
    names = [step.name for step in run.steps]
    assert chart.quantity == "time of a step"
    assert names == [execution.name for span in run.spans for execution in span.instances]
    text = Page(render(reports.report(run))).text
    without_steps = replace(run, steps=())
    assert step_charts(reports.report(without_steps))[0].quantity == "time on the GPU"
    assert "time of a step" in text


def test_waits_below_the_clock_residual_are_greyed_and_in_no_sum() -> None:
    run = replace(
        reports.run("torch"),
        waits=(
            RankWait(rank=0, op="all_reduce", calls=10, wait_ns=10_000),
            RankWait(rank=0, op="all_gather", calls=10, wait_ns=50_000),
            RankWait(rank=1, op="all_reduce", calls=10, wait_ns=9_990),
        ),
        stragglers=(Straggler(rank=0, times_last=10, wait_caused_ns=9_990),),
        clock=Clock(method="collectives", residual_ns=1000),
    )
    (found,) = waits(reports.report(run))
    cells = {(row.rank, cell.op): cell.certain for row in found.rows for cell in row.cells if cell}
    assert cells == {(0, "all_reduce"): True, (0, "all_gather"): True, (1, "all_reduce"): False}
    assert [row.total_ns for row in found.rows] == [60_000, None]
    assert [row.certain for row in found.stragglers] == [False]
    html = render(reports.report(run))
    assert html.count('class="unsure"') == 2
    assert "Grey: below the clock residual" in Page(html).text


def test_waits_that_the_clocks_cannot_tell_make_no_share() -> None:
    run = replace(reports.run("torch"), clock=Clock(method="collectives", residual_ns=10**9))
    text = Page(render(reports.report(run))).text
    assert "Late no rank is late by more than the clocks leave open" in text


@pytest.mark.parametrize(
    ("speedup", "baseline_ns", "candidate_ns", "named"),
    [
        (3.32, 34_200_000, 7_980_000, True),
        (4.29, 34_200_000, 7_980_000, False),
        (1.0, 10, 10, False),
        (0.0, 10, 0, False),
    ],
)
def test_a_speed_up_that_is_not_the_quotient_beside_it_says_what_it_is(
    speedup: float, baseline_ns: int, candidate_ns: int, named: bool
) -> None:
    assert bool(definition(speedup, baseline_ns, candidate_ns)) == named
    torch, pynccl = reports.run("torch"), reports.run("pynccl", backend="pynccl")
    plain = reports.compare(torch, pynccl)
    row = replace(plain.end_to_end[0], speedup=speedup, baseline_p50_ns=baseline_ns, candidate_p50_ns=candidate_ns)
    comparison = replace(plain, end_to_end=(row,))
    text = Page(render(reports.report(torch, pynccl, comparisons=(comparison,)))).text
    assert text.count("of typical times, not of these medians") == 2 * named
    notes = [note for table in of_runs([comparison]) for note in table.notes]
    assert any("typical times" in note for note in notes) == named


def test_columns_of_times_name_their_basis() -> None:
    torch, pynccl = reports.run("torch"), reports.run("pynccl", backend="pynccl")
    plain = reports.compare(torch, pynccl)
    durations = replace(plain, rows=tuple(replace(row, basis="duration") for row in plain.rows))
    mixed = replace(plain, rows=(*plain.rows[:1], *durations.rows[1:]))
    heads = {comparison: of_runs([comparison])[-1].columns for comparison in (plain, durations, mixed)}
    assert "torch transfer p50" in heads[plain]
    assert "torch duration p50" in heads[durations]
    assert {"basis", "torch p50"} <= set(heads[mixed])
    for comparison, head in ((plain, "transfer p50"), (durations, "duration p50")):
        text = Page(render(reports.report(torch, pynccl, comparisons=(comparison,)))).text
        assert re.search(f"torch {head} pynccl {head}", text)


def test_expectations_are_shown_only_where_the_comparison_has_them() -> None:
    torch, pynccl = reports.run("torch"), reports.run("pynccl", backend="pynccl")
    plain = reports.compare(torch, pynccl)
    without = replace(plain, rows=tuple(replace(row, expected_low=None, expected_high=None) for row in plain.rows))
    shown = Page(render(reports.report(torch, pynccl, comparisons=(plain,)))).text
    left_out = Page(render(reports.report(torch, pynccl, comparisons=(without,)))).text
    assert "what the guide expects at this size" in shown
    assert "what the guide expects at this size" not in left_out
    assert "expected" not in of_runs([without])[-1].columns


def test_notes_of_matching_are_on_the_first_screen() -> None:
    run = reports.run("torch")
    note = "all_reduce of group tp: rank 3 has no such call"
    told = replace(run, coverage=replace(run.coverage, matched=100, notes=(note,)))
    html = render(reports.report(told))
    assert html.index(note) < html.index('id="breakdown"')
    assert "44 calls could not be matched across ranks" in Page(html).text


def test_clocks_of_different_rates_say_so() -> None:
    drifting = Clock(method="collectives", residual_ns=700, drift_ppm=12.34)
    assert "Their rates differ by 12.3 ppm, which is taken out." in clock_sentence(drifting)
    assert "rates" not in clock_sentence(replace(drifting, drift_ppm=0.0))


def test_of_many_ranks_the_matrix_begins_with_those_that_differ_most() -> None:
    cells = tuple(
        RankWait(rank=rank, op="all_reduce", calls=1, wait_ns=9_000 if rank == 40 else 100) for rank in range(64)
    )
    (found,) = waits(reports.report(replace(reports.run("torch"), waits=cells)))
    assert [row.rank for row in found.rows][:3] == [40, 0, 1]
    (few,) = waits(reports.report(replace(reports.run("torch"), waits=cells[36:44])))
    assert [row.rank for row in few.rows] == list(range(36, 44))


def test_bandwidth_is_drawn_over_size_where_there_are_two_sizes() -> None:
    report = reports.one_run()
    sizes: dict[str, set[int | None]] = {}
    for operation in report.runs[0].operations:
        sizes.setdefault(operation.op, set()).add(operation.message_bytes)
    assert {chart.op for chart in bandwidth_charts(report)} == {op for op, found in sizes.items() if len(found) > 1}


def test_durations_are_drawn_over_size_where_there_are_two_sizes() -> None:
    (run,) = reports.one_run().runs
    drawn = {one.op for one in ranges(reports.report(run)).ranges}
    assert "all_to_all" in drawn
    assert "broadcast" not in drawn
    of_one_size = replace(run, buckets=tuple(one for one in run.buckets if one.op == "broadcast"))
    html = render(reports.report(of_one_size))
    assert ranges(reports.report(of_one_size)).ranges == ()
    assert "No operation has calls of two sizes" in Page(html).text
    assert '<details class="card" open><summary>The buckets in numbers' in html
