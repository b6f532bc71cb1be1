"""HolisticTraceAnalysis inside the report: its tables where it works, its failure in words where it does not."""

import json
from pathlib import Path

from click.testing import CliRunner

from traceana.cli import root

H200 = Path(__file__).parents[1] / "traces" / "h200"


def hta(run: str, folder: Path) -> tuple[dict[str, object], str]:
    done = CliRunner().invoke(root, ["analyze", str(H200 / run), "--hta", "-o", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (report,) = json.loads((folder / "report.json").read_text())["runs"]
    assert report["coverage"]["collectives"] > 0
    return report["hta"], (folder / "report.html").read_text()


def test_hta_adds_its_three_tables(tmp_path: Path) -> None:
    section, page = hta("torch-2r", tmp_path)
    assert section["error"] is None
    tables = section["tables"]
    assert isinstance(tables, list)
    assert [table["title"].partition(" (")[0] for table in tables] == [
        "Idle time by cause",
        "Kernel launch statistics",
        "Queue length",
    ]
    assert all(len(row) == len(table["columns"]) for table in tables for row in table["rows"])
    assert "Idle time by cause" in page


def test_a_trace_that_hta_cannot_read_leaves_the_rest_of_the_report(tmp_path: Path) -> None:
    """HTA fails on a bare array of events; newer ones may not, so only an absent table needs its reason."""
    trace = tmp_path / "rank0.json"
    trace.write_bytes((H200.parent / "list-top-level.json").read_bytes())
    done = CliRunner().invoke(
        root, ["analyze", str(trace), "--hta", "-o", str(tmp_path / "out")], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    section = json.loads((tmp_path / "out" / "report.json").read_text())["runs"][0]["hta"]
    assert section["error"]
    assert section["error"] in (tmp_path / "out" / "report.html").read_text().replace("&#39;", "'").replace(
        "&#34;", '"'
    )
