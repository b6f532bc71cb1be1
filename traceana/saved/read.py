"""Runs as `analyze` saved them: report.json and, beside it, the calls in collectives.parquet."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as parquet
from msgspec.structs import replace
from traceana_capture.reading import DECODE_ERRORS, open_regular, read_regular

from traceana.analyze.run import AnalyzedRun
from traceana.errors import TraceanaError
from traceana.report import Report
from traceana.saved import calls
from traceana.saved.output import CALLS


def runs_of_report(path: Path) -> list[AnalyzedRun]:
    """The runs of a report with their calls. Raises TraceanaError where its collectives.parquet is missing or other."""
    try:
        report = msgspec.json.decode(read_regular(path), type=Report)
    except OSError as error:
        raise TraceanaError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    except DECODE_ERRORS as error:
        raise TraceanaError(
            f"{path}: another version of traceana wrote it ({error}); analyze its traces again"
        ) from error
    try:
        with open_regular(path.parent / CALLS) as file:
            table = calls.checked(parquet.read_table(file))
        return [AnalyzedRun(report=run, calls=calls.calls(table, run.label)) for run in report.runs]
    except (OSError, pa.ArrowException, KeyError, *DECODE_ERRORS) as error:
        raise TraceanaError(
            f"{path}: needs the {CALLS} that analyze wrote beside it; keep both in one folder, or analyze again"
        ) from error


def with_unique_labels(
    saved: Mapping[Path, Sequence[AnalyzedRun]], others: Sequence[AnalyzedRun]
) -> dict[Path, list[AnalyzedRun]]:
    """The runs of reports, of which those whose side's name is taken are told apart by their report's folder."""
    found: dict[Path, list[AnalyzedRun]] = {}
    for path, runs in saved.items():
        before = [run.report for run in (*others, *(run for runs in found.values() for run in runs))]
        taken = {name for run in before for name in (run.side, run.label)}
        clash = any(run.report.side in taken or run.report.label in taken for run in runs)
        found[path] = [_renamed(run, f" ({path.parent})") for run in runs] if clash else list(runs)
    return found


def _renamed(run: AnalyzedRun, suffix: str) -> AnalyzedRun:
    return replace(run, report=replace(run.report, label=run.report.label + suffix, side=run.report.side + suffix))
