"""Writes report.json and, beside it, the calls as collectives.parquet."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow.parquet as parquet

from traceana.analyze.run import AnalyzedRun
from traceana.report import Report
from traceana.saved import calls
from traceana.saved.output import CALLS, REPORT, replacing


def write(report: Report, runs: Sequence[AnalyzedRun], folder: Path) -> None:
    """Write both files; raises OSError."""
    with replacing(folder / REPORT) as partial:
        partial.write_bytes(msgspec.json.encode(report))
    with replacing(folder / CALLS) as partial, parquet.ParquetWriter(partial, calls.SCHEMA) as file:
        for piece in calls.pieces(runs):
            file.write_table(piece)
