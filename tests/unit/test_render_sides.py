"""Sides next to each other: how they ran, their call sites, sglang's own times, and who comes first."""

from html import unescape

import pytest
from msgspec.structs import replace

from tests import reports
from tests.page import Page
from tests.report_variants import against_unsized
from traceana.render.html import render
from traceana.render.page.marks import baseline_first, marked_runs
from traceana.render.sections.breakdown import breakdown
from traceana.render.sections.operations import spreads
from traceana.render.sections.perf import perf_tables
from traceana.render.sections.setup import SetupRow, setup_table
from traceana.render.sections.sites import site_table
from traceana.report import (
    MemoryCheckpoint,
    NcclLog,
    PerfDump,
    Stage,
)


def test_repeats_share_their_side_s_colour_and_column() -> None:
    runs = [
        replace(reports.run(f"{side}.{repeat}"), side=side, repeat=repeat)
        for side in ("torch", "pynccl")
        for repeat in (1, 2, 3)
    ]
    report = reports.report(*runs)
    assert {mark.label: mark.colour for mark, _ in marked_runs(report)} == {
        run.label: 0 if run.side == "torch" else 1 for run in runs
    }
    table = setup_table(report)
    assert [mark.label for mark in table.sides] == ["torch", "pynccl"]
    folders = next(row for row in table.rows if row.name == "folder")
    assert folders.values[0] == "torch.1: traces/torch.1; torch.2: traces/torch.2; torch.3: traces/torch.3"


def test_what_differs_between_sides_is_apart_from_what_is_equal() -> None:
    slow, fast = reports.two_runs().runs
    assert fast.setup is not None
    tree, devices = (("NCCL_ALGO", "Tree"),), ("CUDA_VISIBLE_DEVICES", "2,3")
    other = replace(fast, setup=replace(fast.setup, nccl_set=tree, environment=(*tree, devices)))
    table = setup_table(reports.report(slow, other))
    by_name = {row.name: row for row in table.rows}
    assert by_name["NCCL_ALGO (set)"].values == ("Ring", "Tree")
    assert not by_name["NCCL_ALGO (set)"].flagged
    assert by_name["CUDA_VISIBLE_DEVICES"].flagged
    assert by_name["NCCL's log: NVLS"].values == ("–", "available")
    assert "NCCL_ALGO" not in by_name
    equal = {row.name: row.values[0] for row in table.equal}
    assert equal["command"] == "torchrun --nproc-per-node 2 train.py --prompt 'a cat'"
    assert equal["NCCL's log: transports"] == "P2P/CUMEM (24 channels)"


def test_the_words_in_which_commands_differ_are_marked() -> None:
    row = SetupRow(name="command", values=("run --backend torch", "run --backend pynccl"), flagged=True)
    assert row.words[1] == (("run", False), ("--backend", False), ("pynccl", True))
    assert SetupRow(name="GPU", values=("H100", "H200"), flagged=True).words == ((("H100", False),), (("H200", False),))


def test_ranks_that_nccl_treats_otherwise_are_told_apart() -> None:
    (run,) = reports.one_run().runs
    assert run.setup is not None
    logs = tuple(NcclLog(rank=rank, facts=(("transports", "SHM" if rank else "P2P"),)) for rank in range(4))
    table = setup_table(reports.report(replace(run, setup=replace(run.setup, nccl_logs=logs))))
    values = {row.name: row.values for row in table.rows}
    assert values["NCCL's log: transports"] == ("rank 0: P2P; rank 1–3: SHM",)


def test_an_exit_code_that_is_not_known_is_no_fact() -> None:
    (run,) = reports.one_run().runs
    assert run.setup is not None
    cut = replace(run, setup=replace(run.setup, exit_code=None))
    assert "exit code" in {row.name for row in setup_table(reports.report(run)).rows}
    assert "exit code" not in {row.name for row in setup_table(reports.report(cut)).rows}


def test_call_sites_are_compared_side_by_side() -> None:
    table = site_table(reports.two_runs())
    first = table.rows[0]
    assert (first.site, first.op) == ("UlyssesAttention", "all_to_all")
    slow, fast = [cell.p50_ns or 0 for cell in first.cells if cell]
    assert slow / fast == pytest.approx(1.3, rel=0.1)
    assert table.rows[-1].site is None


def test_call_sites_meet_over_all_sizes_where_one_side_knows_none() -> None:
    slow, fast = against_unsized().runs
    plain = [replace(site, op="send_recv" if site.op == "all_to_all" else site.op) for site in fast.call_sites]
    table = site_table(reports.report(slow, replace(fast, call_sites=tuple(plain))))
    first = table.rows[0]
    assert (first.site, first.op, first.message_bytes) == ("UlyssesAttention", "send_recv", None)
    assert [cell.count for cell in first.cells if cell] == [64, 64]
    assert next(cell.p50_ns for cell in first.cells if cell) is None
    assert all(None not in row.cells for row in table.rows)


def test_call_sites_with_transfers_on_one_side_only_are_compared_by_duration() -> None:
    slow, fast = reports.two_runs().runs
    unmatched = replace(fast, call_sites=tuple(replace(site, transfer_p50_ns=None) for site in fast.call_sites))
    table = site_table(reports.report(slow, unmatched))
    first = table.rows[0]
    theirs = next(site for site in slow.call_sites if site.message_bytes == first.message_bytes)
    assert first.basis == "duration"
    assert next(cell.p50_ns for cell in first.cells if cell) == theirs.p50_ns
    assert "where a side's calls could not be matched" in Page(render(reports.report(slow, unmatched))).text
    assert site_table(reports.two_runs()).basis == "transfer"


def test_the_baseline_comes_first_in_colours_and_columns() -> None:
    slow, fast = reports.two_runs().runs
    report = reports.report(fast, slow, comparisons=(reports.compare(slow, fast),))
    assert [mark.label for mark in site_table(report).sides] == ["torch", "pynccl"]
    ours, theirs = [cell.p50_ns or 0 for cell in site_table(report).rows[0].cells if cell]
    assert ours / theirs == pytest.approx(1.3, rel=0.1)
    assert [mark.colour for mark, _ in marked_runs(report)] == [1, 0]


def test_charts_draw_the_baseline_s_repeats_first() -> None:
    runs = {
        f"{side}.{repeat}": replace(reports.run(f"{side}.{repeat}"), side=side, repeat=repeat)
        for side in ("pynccl", "torch")
        for repeat in (1, 2, 10)
    }
    sides = replace(reports.compare(runs["torch.1"], runs["pynccl.1"]), baseline="torch", candidate="pynccl")
    report = reports.report(*(runs[name] for name in sorted(runs)), comparisons=(sides,))
    expected = [f"{side}.{repeat}" for side in ("torch", "pynccl") for repeat in (1, 2, 10)]
    drawn = baseline_first(report)
    assert [run.label for run in drawn.runs] == expected
    assert [lane.run.label for lane in spreads(drawn)[0].lanes[:6]] == expected
    assert [bar.run.label for bar in breakdown(drawn).bars[:6]] == expected
    places = [unescape(render(report)).index(f"{name}, rank 0: compute alone") for name in expected]
    assert places == sorted(places)


def test_perf_dumps_are_shown_side_by_side() -> None:
    slow, fast = reports.two_runs().runs
    slow = replace(slow, perf_dumps=(perf_dump(8), perf_dump(10), perf_dump(30)))
    report = reports.report(slow, replace(fast, perf_dumps=(perf_dump(5),)))
    table = perf_tables(report)
    assert [(row.name, row.ratio) for row in table.times] == [("whole request", 2.0), ("Denoising Loop", 2.0)]
    assert [row.values for row in table.memory] == [(10 << 30, 5 << 30)]
    assert "By sglang's own clock" in Page(render(report)).text
    assert "By sglang's own clock" not in Page(render(reports.two_runs())).text


def perf_dump(seconds: int) -> PerfDump:
    memory = MemoryCheckpoint(
        name="after_forward",
        allocated_bytes=None,
        reserved_bytes=None,
        peak_allocated_bytes=seconds << 30,
        peak_reserved_bytes=None,
    )
    return PerfDump(
        file="perf.json",
        request_id=None,
        commit=None,
        tag=None,
        timestamp=None,
        total_ns=seconds * 10**9,
        stages=(Stage(name="Denoising Loop", duration_ns=seconds * 8 * 10**8, count=4),),
        denoise_steps_ns=(),
        memory=(memory,),
        meta=(),
    )


def test_bars_stand_by_time_and_by_share_of_each_window() -> None:
    slow, fast = reports.two_runs().runs
    chart = breakdown(reports.report(slow, replace(fast, ranks=fast.ranks[:1])))
    widths = {bar.run.label: sum(part.width for part in bar.segments) for bar in chart.bars}
    assert widths["pynccl"] < widths["torch"]
    for bar in chart.bars:
        assert sum(part.share for part in bar.segments) == pytest.approx(100)
        assert next(part.share_at for part in bar.segments) == 0
    assert [tick.label for tick in chart.share_axis.ticks] == ["0", "25", "50", "75", "100"]
