"""Writes report.json and, beside it, the calls as collectives.parquet."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from traceana.analyze.run import AnalyzedRun
from traceana.report import Report
from traceana.saved.read import CALLS


def write(report: Report, runs: Sequence[AnalyzedRun], folder: Path) -> None:
    """Write both files; raises OSError."""
    (folder / "report.json").write_bytes(msgspec.json.encode(report))
    parquet.write_table(_table(runs), folder / CALLS)


def _table(runs: Sequence[AnalyzedRun]) -> pa.Table:
    """One row a rank's call of every run: ns, bytes, and None where something is not known."""
    return pa.concat_tables([_run_table(run) for run in runs])


def _run_table(run: AnalyzedRun) -> pa.Table:
    calls = run.calls
    signatures = calls.signatures
    of_call = {
        "op": pa.array([s.op for s in signatures], pa.string()),
        "dtype": pa.array([s.dtype for s in signatures], pa.string()),
        "message_bytes": pa.array([s.message_bytes for s in signatures], pa.int64()),
        "group_size": pa.array([s.group_size for s in signatures], pa.int64()),
        "group_name": pa.array([s.group_name for s in signatures], pa.string()),
        "backend": pa.array([s.backend for s in signatures], pa.string()),
        "library": pa.array([s.library for s in signatures], pa.string()),
    }
    index = pa.array(calls.signature)
    unknown = ~calls.matched
    return pa.table(
        {
            "run": pa.array(np.full(len(calls), run.report.label, dtype=object), pa.string()),
            "rank": calls.rank,
            **{name: values.take(index) for name, values in of_call.items()},
            "site": pa.array([*calls.sites, None], pa.string()).take(pa.array(calls.site % (len(calls.sites) + 1))),
            "seq": pa.array(calls.seq, mask=calls.seq < 0),
            "collective": pa.array(calls.collective, mask=unknown),
            "step": pa.array(calls.step, mask=calls.step < 0),
            "warm_up": calls.warm_up,
            "start_ns": calls.start_ns,
            "duration_ns": calls.duration_ns,
            "exposed_ns": calls.exposed_ns,
            "wait_ns": pa.array(calls.wait_ns, mask=unknown),
            "transfer_ns": pa.array(calls.transfer_ns, mask=unknown),
        }
    )
