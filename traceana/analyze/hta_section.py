"""HolisticTraceAnalysis on one rank: idle time by cause, kernel launch statistics, queue length.

Imported only when asked for, since importing HTA takes seconds. Where HTA fails, its error is the section.
"""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from traceana.report import HtaSection, HtaTable

_MOST_ROWS = 30
_LONGEST_ERROR = 200


def hta_section(rank: int, path: Path) -> HtaSection:
    """Run HTA's analyses of one rank on one file; never raises for what HTA does."""
    tables: list[HtaTable] = []
    errors: list[str] = []
    logging.getLogger("hta").setLevel(logging.CRITICAL)
    # HTA prints, warns and raises whatever its pandas raises: none of that may stop the report.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        try:
            analysis = _load(rank, path, Path(folder))
        except Exception as error:
            return HtaSection(rank=rank, version=_version(), tables=(), error=_in_a_line(error))
        for title, run in _analyses(analysis, rank).items():
            try:
                tables.append(_table(title, run()))
            except Exception as error:
                errors.append(f"{title}: {_in_a_line(error)}")
    return HtaSection(rank=rank, version=_version(), tables=tuple(tables), error="; ".join(errors) or None)


def _load(rank: int, path: Path, folder: Path) -> Any:
    from hta.trace_analysis import TraceAnalysis

    return TraceAnalysis(trace_files={rank: str(path.resolve())}, trace_dir=str(folder))


def _analyses(analysis: Any, rank: int) -> dict[str, Callable[[], pd.DataFrame]]:
    return {
        "Idle time by cause": lambda: analysis.get_idle_time_breakdown(ranks=[rank], visualize=False)[0],
        "Kernel launch statistics": lambda: analysis.get_cuda_kernel_launch_stats(ranks=[rank], visualize=False)[rank],
        "Queue length": lambda: analysis.get_queue_length_summary(ranks=[rank]),
    }


def _table(title: str, frame: pd.DataFrame) -> HtaTable:
    frame = frame.reset_index() if frame.index.names != [None] else frame
    rows = frame.head(_MOST_ROWS).itertuples(index=False)
    return HtaTable(
        title=title if len(frame) <= _MOST_ROWS else f"{title} (first {_MOST_ROWS} of {len(frame)} rows)",
        columns=tuple(str(column) for column in frame.columns),
        rows=tuple(tuple(_cell(value) for value in row) for row in rows),
    )


def _cell(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _in_a_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_ERROR]


def _version() -> str:
    for package in ("holistictraceanalysis", "traceinsight"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "unknown"
