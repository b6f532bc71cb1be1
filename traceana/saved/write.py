"""Writes report.json and, beside it, the calls as collectives.parquet."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow.parquet as parquet

from traceana.analyze.run import AnalyzedRun
from traceana.report import Report
from traceana.saved import calls


def write(report: Report, runs: Sequence[AnalyzedRun], folder: Path) -> None:
    """Write both files; raises OSError."""
    (folder / "report.json").write_bytes(msgspec.json.encode(report))
    parquet.write_table(calls.table(runs), folder / calls.FILE)
