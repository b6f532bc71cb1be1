"""Runs `traceana analyze` as a user does and reads what it wrote; knows the command line and report.json only.

Where no page is looked at, and the traces are as they should be, `figures` has the same in two thirds of the time.
"""

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pyarrow.parquet

from traceana import pipeline
from traceana.cli import main
from traceana.settings import Settings

OUTPUTS = ("report.html", "report.json", "collectives.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the command left behind."""

    exit_code: int
    stdout: str
    stderr: str
    folder: Path

    @property
    def report(self) -> Any:
        """All of report.json."""
        return json.loads((self.folder / "report.json").read_text())

    @property
    def run(self) -> Any:
        """The only run of report.json."""
        (run,) = self.report["runs"]
        return run

    @property
    def html(self) -> str:
        """The report as the browser gets it."""
        return (self.folder / "report.html").read_text()

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The rows of collectives.parquet, one per rank and call."""
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(self.folder / "collectives.parquet").to_pylist()
        return rows

    @property
    def wrote_nothing(self) -> bool:
        """No output was begun."""
        return not self.folder.exists() or not any(self.folder.iterdir())


def analyze(folder: Path, *arguments: str | Path, workers: int = 1) -> Outcome:
    """Run `traceana analyze ARGUMENTS -o folder` in this process, as the installed script would, and keep nothing."""
    words = ["traceana", "analyze", *map(str, arguments), "-o", str(folder), "--workers", str(workers), "--no-cache"]
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), mock.patch.object(sys, "argv", words):
        exit_code = _exit_code()
    return Outcome(exit_code=exit_code, stdout=stdout.getvalue(), stderr=stderr.getvalue(), folder=folder)


def figures(*paths: Path) -> Any:
    """The only run of report.json, which has no file here, nor a page beside it."""
    analysis = pipeline.analyze(paths, Settings(workers=1, cache=False), lambda *_: None)
    (run,) = json.loads(msgspec.json.encode(analysis.report))["runs"]
    return run


def _exit_code() -> int:
    try:
        main()
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    return 0


def check_sums(run: Any) -> None:
    """What holds in every report: parts add up to wholes, and nothing is counted twice."""
    for rank in run["ranks"]:
        parts = [rank[key] for key in ("compute_ns", "exposed_comm_ns", "exposed_memory_ns", "idle_ns")]
        assert sum(parts) == rank["span_ns"]
        assert rank["overlapped_comm_ns"] + rank["exposed_comm_ns"] == rank["comm_ns"]
        assert min(*parts, rank["overlapped_comm_ns"]) >= 0
    coverage = run["coverage"]
    assert sum(operation["count"] for operation in run["operations"]) == coverage["collectives"]
    assert sum(operation["matched"] for operation in run["operations"]) == coverage["matched"]
    unsized = sum(operation["count"] for operation in run["operations"] if operation["message_bytes"] is None)
    assert unsized == coverage["without_size"]
    for bucket_scheme in {bucket["scheme"] for bucket in run["buckets"]}:
        counted = sum(bucket["count"] for bucket in run["buckets"] if bucket["scheme"] == bucket_scheme)
        assert counted == coverage["collectives"] - unsized
