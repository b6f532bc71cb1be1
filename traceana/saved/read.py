"""Runs as `analyze` saved them: report.json and, beside it, the calls in collectives.parquet."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as parquet

from traceana.analyze.run import AnalyzedRun
from traceana.errors import TraceanaError
from traceana.report import Report
from traceana.saved import calls


def runs_of_report(path: Path) -> list[AnalyzedRun]:
    """The runs of a report with their calls. Raises TraceanaError where its collectives.parquet is missing or other."""
    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
        table = parquet.read_table(path.parent / calls.FILE)
        return [AnalyzedRun(report=run, calls=calls.calls(table, run.label)) for run in report.runs]
    except msgspec.MsgspecError as error:
        raise TraceanaError(
            f"{path}: another version of traceana wrote it ({error}); analyze its traces again"
        ) from error
    except (OSError, pa.ArrowException, KeyError) as error:
        raise TraceanaError(
            f"{path}: needs the {calls.FILE} that analyze wrote beside it; keep both in one folder, or analyze again"
        ) from error


def with_unique_labels(
    reports: Sequence[tuple[Path, Sequence[AnalyzedRun]]], others: Sequence[AnalyzedRun]
) -> list[AnalyzedRun]:
    """All runs in one list; runs of reports whose side's name is taken are told apart by their report's folder."""
    found = list(others)
    for path, runs in reports:
        taken = {name for run in found for name in (run.report.side, run.report.label)}
        clash = any(run.report.side in taken or run.report.label in taken for run in runs)
        suffix = f" ({path.parent})" if clash else ""
        found += [
            replace(run, report=replace(run.report, label=run.report.label + suffix, side=run.report.side + suffix))
            for run in runs
        ]
    return found
