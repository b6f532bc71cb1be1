"""A bench as a page, and in the terminal."""

import pytest
from msgspec.structs import replace

from tests import benches
from tests.page import Page
from traceana.bench.verdicts import judged
from traceana.render.bench_page import backend_marks, fastest_rows, headline, render_bench
from traceana.render.text.bench import bench_tables
from traceana.report.bench import BenchReport, BenchRow, NotMeasured, Peak

MIB = benches.MIB


def bench(*rows: BenchRow) -> BenchReport:
    found = judged(rows)
    return benches.bench(
        rows,
        verdicts=found.verdicts,
        crossovers=found.crossovers,
        guide=found.guide,
        peak=Peak(link="NVLink", gbps=478.0, source="NVML: 18 links"),
        not_measured=(NotMeasured(backend="sglang_ipc", op=None, reason="sglang is not installed"),),
    )


CHANGE = bench(
    *(benches.row("all_reduce", size, ns) for size, ns in ((MIB, 10_000), (16 * MIB, 100_000))),
    *(benches.row("all_reduce", size, ns, "pynccl") for size, ns in ((MIB, 20_000), (16 * MIB, 60_000))),
    *(benches.row("all_reduce", MIB, 5_000, name, graph=True) for name in ("torch", "pynccl")),
)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_bench(CHANGE))


def test_the_answer_comes_first(page: Page) -> None:
    assert headline(CHANGE) == (
        "Certainly the fastest, of 3 comparisons: pynccl in 1, torch in 1; in 1 the fastest cannot be told"
    )
    assert "all_reduce: torch up to 1 MiB, pynccl from 16 MiB; equal at 4" in page.text
    assert headline(bench(benches.row("all_reduce", MIB, 10))) == "One backend was measured: torch"


def test_each_size_has_its_fastest_and_graphs_are_apart(page: Page) -> None:
    eager, graph = fastest_rows(CHANGE, backend_marks(CHANGE))
    assert [cell and cell.mark and cell.mark.label for cell in eager.cells] == ["torch", "pynccl"]
    assert [cell and cell.text for cell in eager.cells] == ["2.00×", "1.67×"]
    assert graph.cells[0] is not None
    assert (graph.cells[0].mark, graph.cells[0].text, graph.cells[1]) == (None, "cannot tell", None)
    assert {"fastest", "charts", "guide", "rows", "how"} <= set(page.ids)


def test_rows_peak_guide_and_what_is_missing_are_told(page: Page) -> None:
    assert (
        "all_reduce 16 MiB pynccl no in bfloat16 60.0 µs 66.0 µs 72.0 µs 280 GB/s 280 GB/s 58.5 % 40.0 µs" in page.text
    )
    assert "all_reduce 16 MiB no 1.67×" in page.text
    assert "1.43–2.00×" in page.text
    assert "NVLink 478 GB/s (NVML: 18 links)" in page.text
    assert "not measured: sglang_ipc sglang is not installed" in page.text


def test_every_term_has_its_definition_and_nothing_is_loaded(page: Page) -> None:
    assert {link[1:] for link in page.links if link.startswith("#def-")} <= set(page.ids)
    assert all(link.startswith("#") for link in page.links)


def test_one_size_of_one_backend_needs_no_chart() -> None:
    text = render_bench(benches.bench([benches.row("all_reduce", MIB, 10_000)]))
    assert not {"fastest", "charts", "guide"} & set(Page(text).ids)


def test_names_are_escaped() -> None:
    strange = "<b>x</b>"
    page = render_bench(
        benches.bench([benches.row("all_reduce", MIB, 10_000, strange)], backends=((strange, strange),))
    )
    assert strange not in page
    assert "&lt;b&gt;" in page


def test_the_terminal_says_the_same() -> None:
    (table,) = bench_tables(CHANGE)
    assert table.rows[3][:5] == ("all_reduce", "16\u00a0MiB", "pynccl", "no", "in")
    assert table.rows[3][10] == "58.5\u00a0%"
    notes = [note.replace("\u00a0", " ") for note in table.notes]
    assert "peak: NVLink 478 GB/s (NVML: 18 links)" in notes
    assert "not measured: sglang_ipc: sglang is not installed" in notes
    assert any(
        "pynccl over torch 1.67×" in note and note.endswith("the guide expects 1.43–2.00×: within") for note in notes
    )
    under = replace(CHANGE, rows=(replace(CHANGE.rows[0], under_compute_p50_ns=20_000, compute_slowdown=1.5),))
    assert bench_tables(under)[0].rows[0][-2:] == ("20.0\u00a0µs", "1.50×")


def test_a_graph_on_the_default_stream_stands_beside_its_row() -> None:
    slower = replace(CHANGE, rows=(*CHANGE.rows[:4], replace(CHANGE.rows[4], default_stream_p50_ns=13_000)))
    (table,) = bench_tables(slower)
    assert table.columns[-1] == "default stream"
    assert [row[-1] for row in table.rows] == ["–"] * 4 + ["13.0\u00a0µs"]
    page = Page(render_bench(slower))
    assert "13.0 µs" in page.text
    assert "NCCL_GRAPH_MIXING_SUPPORT=0" in page.text
