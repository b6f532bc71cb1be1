"""Runs as `analyze` saved them: report.json and, beside it, the calls in collectives.parquet."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as parquet

from traceana.analyze.calls import Calls
from traceana.analyze.collectives import Signature
from traceana.analyze.run import AnalyzedRun
from traceana.errors import TraceanaError
from traceana.report import Report, RunReport
from traceana.trace.columns import Ints

CALLS = "collectives.parquet"
_SIGNATURE_COLUMNS = ("op", "dtype", "message_bytes", "group_size", "group_name", "backend", "library")


def runs_of_report(path: Path) -> list[AnalyzedRun]:
    """The runs of a report with their calls. Raises TraceanaError where its collectives.parquet is missing or other."""
    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
        table = parquet.read_table(path.parent / CALLS)
        return [AnalyzedRun(report=run, calls=_calls(table, run)) for run in report.runs]
    except msgspec.MsgspecError as error:
        raise TraceanaError(
            f"{path}: another version of traceana wrote it ({error}); analyze its traces again"
        ) from error
    except (OSError, pa.ArrowException, KeyError) as error:
        raise TraceanaError(
            f"{path}: needs the {CALLS} that analyze wrote beside it; keep both in one folder, or analyze again"
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


def _calls(table: pa.Table, run: RunReport) -> Calls:
    mine = table.filter(pyarrow.compute.equal(table["run"], run.label))
    signature, signatures = _signatures(mine)
    site = mine["site"].combine_chunks().dictionary_encode()
    return Calls(
        rank=_column(mine, "rank"),
        start_ns=_column(mine, "start_ns"),
        duration_ns=_column(mine, "duration_ns"),
        exposed_ns=_column(mine, "exposed_ns"),
        wait_ns=_column(mine, "wait_ns", 0),
        transfer_ns=_column(mine, "transfer_ns", 0),
        matched=np.asarray(mine["collective"].is_valid()),
        collective=_column(mine, "collective"),
        seq=_column(mine, "seq"),
        step=_column(mine, "step"),
        warm_up=np.asarray(mine["warm_up"]).astype(np.bool_),
        signature=signature,
        signatures=signatures,
        site=np.asarray(site.indices.fill_null(-1)).astype(np.int64),
        sites=tuple(site.dictionary.to_pylist()),
    )


def _column(table: pa.Table, name: str, absent: int = -1) -> Ints:
    return np.asarray(table[name].fill_null(absent)).astype(np.int64)


def _signatures(table: pa.Table) -> tuple[Ints, tuple[Signature, ...]]:
    """Calls of one kind share a signature; the group's ranks are not in the table."""
    encoded = [table[name].combine_chunks().dictionary_encode() for name in _SIGNATURE_COLUMNS]
    codes = np.stack([np.asarray(column.indices.fill_null(-1)).astype(np.int64) for column in encoded], axis=1)
    kinds, index = np.unique(codes, axis=0, return_inverse=True)
    values = [[*column.dictionary.to_pylist(), None] for column in encoded]
    found = (tuple(of_column[code] for of_column, code in zip(values, kind, strict=True)) for kind in kinds.tolist())
    return index.reshape(-1), tuple(
        Signature(
            op=op,
            dtype=dtype,
            message_bytes=message_bytes,
            group_size=group_size,
            group=None,
            group_name=group_name,
            backend=backend,
            library=library,
        )
        for op, dtype, message_bytes, group_size, group_name, backend, library in found
    )
