"""A target a reader: takes any bytes, and may raise nothing but TraceanaError."""

import contextlib
import functools
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from traceana_capture import runfile
from traceana_capture.launcher.nccl_log import read_log

from tests.fuzz.trace_seeds import trace_seeds
from tests.synthetic import Call, Run, write_run
from tests.traces import base
from tests.unit.test_nccl_tests import ALL_REDUCE, ALL_TO_ALL, of_json
from traceana.analyze.measure import measure_rank
from traceana.errors import TraceanaError
from traceana.pipeline import analyze
from traceana.saved import measured, seal
from traceana.saved.bench import read_bench
from traceana.saved.output import CALLS
from traceana.saved.read import runs_of_report
from traceana.saved.write import write
from traceana.settings import Settings
from traceana.trace.header import decode_header, split_object
from traceana.trace.identify import identify
from traceana.trace.manifest import read_manifest
from traceana.trace.paired import read_paired_calls
from traceana.trace.perf_dump import find_perf_dump
from traceana.trace.read import read_rank
from traceana.trace.stream import ByteStream

_TRACES = Path(__file__).parents[1] / "traces"
_SMALL = 8 << 10


def trace(data: bytes) -> None:
    """A rank's trace, told and read."""
    with _file("rank0.json", data) as file, contextlib.suppress(TraceanaError):
        identify(file)
        read_rank(file)


def rank(data: bytes) -> None:
    """A rank's trace, measured: ten times the work of reading it."""
    with _file("rank0.json", data) as file, contextlib.suppress(TraceanaError):
        measure_rank(file)


def packed(data: bytes) -> None:
    """Gzip."""
    with _file("rank0.json.gz", b"\x1f\x8b" + data) as file:
        for _ in ByteStream(file):
            pass


def header(data: bytes) -> None:
    """The keys around the events."""
    found = decode_header(data)
    msgspec.json.encode(found)
    split_object(data)


def run_json(data: bytes) -> None:
    """What capture leaves, of any version."""
    with _file(runfile.NAME, data) as file:
        msgspec.json.encode(read_manifest(file.parent))


def perf_dump(data: bytes) -> None:
    """sglang's perf dump."""
    with _file("perf.json", data) as file:
        msgspec.json.encode(find_perf_dump(file))


def paired(data: bytes) -> None:
    """Calls that ran on both backends."""
    with _file("paired.rank0.jsonl", data) as file:
        msgspec.json.encode(read_paired_calls(file.parent))


def nccl_log(data: bytes) -> None:
    """NCCL's own log."""
    msgspec.json.encode(read_log(data.decode(errors="replace").splitlines(), rank=0, file=""))


def bench(data: bytes) -> None:
    """bench.json, and nccl-tests' output."""
    with _file("bench.json", data) as file, contextlib.suppress(TraceanaError):
        read_bench(file)


def columns(data: bytes) -> None:
    """A measured rank, as the cache and parts hold it."""
    with contextlib.suppress(TraceanaError):
        measured.decode(seal.sealed(data))


def report(data: bytes) -> None:
    """A saved report beside its own table."""
    _saved(data, _report()[1])


def table(data: bytes) -> None:
    """A saved report's table of calls."""
    _saved(_report()[0], data)


def loss(data: bytes) -> None:
    """A few bytes of one event replaced: that event is lost at most, and one beside it."""
    # What ends the events, or begins another file's, ends the trace.
    if len(data) < 4 or b"]" in data[3:19] or b"traceEvents" in data[3:19] or re.search(rb"\}\s*\[", data[3:19]):
        return
    which, at, count = data[0] % _KERNELS, data[1], data[2] % 8
    event = bytearray(_KERNEL % which)
    start = at % len(event)
    event[start : start + count] = data[3:19]
    events = [_KERNEL % number for number in range(_KERNELS)]
    events[which] = bytes(event)
    with _file("rank0.json", _HEAD + b",".join(events) + b"]}") as file:
        kept = len(read_rank(file).activities.start_ns)
    if kept < _KERNELS - 2:
        raise AssertionError(f"{_KERNELS - kept} of {_KERNELS} events lost by {bytes(event)!r}")


_KERNELS = 12
_KERNEL = (
    b'{"ph":"X","cat":"kernel","name":"gemm %d","pid":0,"tid":7,"ts":100.5,"dur":80.0,'
    b'"args":{"device":0,"stream":7,"correlation":5,"grid":[132,1,1]}}'
)
_HEAD = b'{"schemaVersion":1,"distributedInfo":{"rank":0,"world_size":1},"traceEvents":['

TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one
    for one in (trace, rank, packed, header, run_json, perf_dump, paired, nccl_log, bench, columns, report, table, loss)
}


def seeds(target: str) -> Iterator[bytes]:
    """What a target's corpus begins with."""
    good = base.compact(base.good())
    match target:
        case "trace":
            yield from trace_seeds()
        case "rank":
            yield from (file.read_bytes() for file in sorted(_TRACES.glob("*.json")) if file.stat().st_size < _SMALL)
            yield good
        case "packed":
            yield base.packed(good)[2:]
        case "header":
            yield good[: good.index(b'"traceEvents"')] + b'"traceName":"x"}'
        case "run_json":
            yield msgspec.json.encode({"label": "a", "repeat": 1, "argv": ["a"], "exit_code": 0, **_run_json_parts()})
        case "perf_dump":
            yield b'{"total_duration_ms":1.5,"steps":[{"name":"denoising_step_1","duration_ms":2}],"meta":{"a":[1]},'
            yield from (file.read_bytes() for file in sorted((_TRACES.parent / "perf_dumps").rglob("*.json")))
        case "paired":
            yield (
                b'{"op":"all_reduce","message_bytes":4,"dtype":"float32","ranks":[0,1],"number":0,"first":"torch",'
                b'"torch_ns":5,"pynccl_ns":6,"agree":true}\n'
            )
        case "nccl_log":
            yield from (file.read_bytes() for file in sorted((_TRACES.parent / "logs").glob("*.log")))
        case "bench":
            yield from (ALL_TO_ALL.encode(), ALL_REDUCE.encode(), json.dumps(of_json()).encode())
        case "columns":
            yield measured.encode(measure_rank(_TRACES / "compact.json"))[len(seal.sealed(b"")) :]
        case "report":
            yield _report()[0]
        case "table":
            yield _report()[1]
        case _:
            yield b"\x01\x10\x04{}"


def _run_json_parts() -> dict[str, object]:
    return {
        "backend": {"asked": "torch", "adapter": None, "seen": ["nccl"], "mismatch": None},
        "versions": {"torch": "2"},
        "environment": {"NCCL_PROTO": "Simple"},
        "nccl": {"set": {}, "preset": [], "ranks": []},
        "window": {"delay_s": 1},
        "ranks": [{"rank": 0, "pid": 1, "host": "h", "outcome": "complete", "reason": "", "file": "f", "bytes": 1}],
    }


@functools.cache
def _report() -> tuple[bytes, bytes]:
    """The bytes of a saved report and its table."""
    with tempfile.TemporaryDirectory() as scratch:
        write_run(Path(scratch, "run"), Run(world_size=2, calls=(Call(op="all_reduce", nelems=4096),)))
        found = analyze([Path(scratch, "run")], Settings(workers=1), lambda _done, _all, _name: None)
        write(found.report, found.runs, Path(scratch))
        return Path(scratch, "report.json").read_bytes(), Path(scratch, CALLS).read_bytes()


def _saved(report_bytes: bytes, table_bytes: bytes) -> None:
    with _file("report.json", report_bytes) as file, contextlib.suppress(TraceanaError):
        (file.parent / CALLS).write_bytes(table_bytes)
        runs_of_report(file)


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="traceana-fuzz-")


@contextlib.contextmanager
def _file(name: str, data: bytes) -> Iterator[Path]:
    """A file of that content, by itself in its folder."""
    folder = Path(_scratch().name, name)
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_bytes(data)
    yield file
