"""The numbers from Python are those of the report."""

import subprocess
import sys
from pathlib import Path

import pytest

import traceana
from tests.commands import traceana as command
from traceana.errors import TraceanaError

H200 = Path(__file__).parents[1] / "traces" / "h200"
HEAVY = {"numpy", "pandas", "pyarrow", "torch", "click", "jinja2", "msgspec", "rich"}


@pytest.fixture(scope="module")
def torch() -> traceana.Run:
    return traceana.read(H200 / "torch-2r", workers=1)


@pytest.fixture(scope="module")
def pynccl() -> traceana.Run:
    return traceana.read(H200 / "pynccl-2r", workers=1)


def test_importing_brings_nothing_heavy() -> None:
    program = f"import sys, traceana; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_are_there_and_others_are_not() -> None:
    assert set(traceana.__all__) <= set(dir(traceana))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = traceana.nonsense


def test_tables_are_the_reports_numbers(torch: traceana.Run) -> None:
    assert torch.label == "torch-2r"
    assert list(torch.ranks["exposed_comm_ns"]) == [rank.exposed_comm_ns for rank in torch.report.ranks]
    assert list(torch.steps["duration_ns"]) == [step.duration_ns for step in torch.report.steps]
    assert len(torch.operations) == len(torch.report.operations)
    assert "duration_ns.p50" in torch.operations.columns
    calls = torch.calls
    assert len(calls) == torch.report.coverage.collectives
    assert calls["message_bytes"].dtype == "Int64"


def test_what_is_not_known_is_missing(pynccl: traceana.Run) -> None:
    calls = pynccl.calls
    assert calls["message_bytes"].isna().all()
    assert calls["wait_ns"].notna().all()


def test_a_saved_report_reads_as_its_traces_do(torch: traceana.Run, tmp_path: Path) -> None:
    command("analyze", H200 / "torch-2r", "-o", tmp_path, "--no-cache", "--workers", "1")
    saved = traceana.read(tmp_path)
    assert saved.report.operations == torch.report.operations
    assert saved.calls.equals(torch.calls)


def test_a_comparison_is_that_of_the_command(torch: traceana.Run, pynccl: traceana.Run) -> None:
    compared = traceana.compare(torch, [pynccl])
    assert compared.comparison.baseline == "torch-2r"
    assert list(compared.rows["verdict"]) == [row.verdict for row in compared.comparison.rows]
    assert len(compared.end_to_end) == len(compared.comparison.end_to_end)
    assert compared.sentence in repr(compared)
    page = compared._repr_html_()
    assert page.startswith("<iframe")
    assert "<script" not in page.split("srcdoc=", 1)[1].split('"', 2)[1]


def test_a_folder_of_several_runs_and_an_empty_side_are_named(torch: traceana.Run) -> None:
    with pytest.raises(TraceanaError, match="read_all"):
        traceana.read(H200)
    with pytest.raises(TraceanaError, match="no run"):
        traceana.compare(torch, [])
