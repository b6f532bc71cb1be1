"""Writes report.json and, beside it, the calls as collectives.parquet."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
    with (
        replacing(folder / CALLS) as partial,
        parquet.ParquetWriter(partial, calls.SCHEMA, use_dictionary=calls.REPEATING) as file,
    ):
        _write_pieces(file, runs)


def _write_pieces(file: parquet.ParquetWriter, runs: Sequence[AnalyzedRun]) -> None:
    """A piece is made while the one before it is compressed and written, beside this thread."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        written: Future[None] | None = None
        for piece in calls.pieces(runs):
            if written:
                written.result()
            written = beside.submit(file.write_table, piece)
        if written:
            written.result()
