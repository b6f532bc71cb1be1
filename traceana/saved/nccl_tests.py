"""What nccl-tests prints, and what it writes with `-J`, as a bench's report.

Formats: writeBenchmarkLineBody, writeDeviceReport and the JSON functions of
https://github.com/NVIDIA/nccl-tests/blob/master/src/util.cu (2.19.6; older text lacks the test's name). A time is the
mean of back-to-back calls, launches included.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from traceana_capture.reading import DECODE_ERRORS

from traceana.analyze.message_size import bus_factor
from traceana.errors import TraceanaError
from traceana.kernels import UNKNOWN, operation_of_call
from traceana.report.bench import BenchReport, BenchRow, NotMeasured

BACKEND = "nccl-tests"
_STARTING = re.compile(r"^# Collective test starting: *(\S+)", re.MULTILINE)
_COUNTS = re.compile(r"^# *nThread (\d+) nGpus (\d+) .*?iters: *(\d+) agg", re.MULTILINE)
_GRAPH = re.compile(r"\bgraph: *(\d+)")
_RANK = re.compile(r"^# +Rank +\d+ .* device +\d+ \[[^]]*\] *(.*)$", re.MULTILINE)
_VERSION = re.compile(r"^# nccl-tests version (\S+).*?(?:nccl-library=(\d+))?$", re.MULTILINE)
_PLAIN, _PER_ITERATION = 13, 21
"""Words of a row, without and with `-I`."""
_DTYPES = {"float": "float32", "half": "float16", "double": "float64"}
_NEVER_IN_PLACE = ("all_to_all", "all_to_allv", "send_recv")
"""The tests print a time of these in place, which moves other data (reportErrors is off)."""


class _Table(msgspec.Struct, frozen=True, kw_only=True):
    """What is common to all rows of one output."""

    op: str
    ranks: int
    iterations: int
    graph: bool


def is_text(text: str) -> bool:
    """Whether this is what a test prints."""
    return bool(_COUNTS.search(text))


def of_text(path: Path, text: str) -> BenchReport:
    """One test's output. Raises TraceanaError where it does not say which operation, or holds no row."""
    counts = _COUNTS.search(text)
    assert counts is not None
    named, ranks = _STARTING.search(text), _RANK.findall(text)
    graph = _GRAPH.search(text)
    table = _Table(
        op=_operation(path, named.group(1) if named else path.stem),
        ranks=len(ranks) or int(counts.group(1)) * int(counts.group(2)),
        iterations=int(counts.group(3)),
        graph=bool(graph and int(graph.group(1))),
    )
    rows = [row for line in text.splitlines() for row in _rows_of_line(table, line.split())]
    version = _VERSION.search(text)
    found = [("nccl-tests", version.group(1)), ("NCCL", _nccl(int(version.group(2) or 0)))] if version else []
    return _report(path, table, rows, [*found, *[("device", name) for name in dict.fromkeys(ranks)]])


def _rows_of_line(table: _Table, words: Sequence[str]) -> Iterator[BenchRow]:
    if len(words) not in (_PLAIN, _PER_ITERATION) or not words[0].isdigit():
        return
    size, dtype, half = int(words[0]), words[2], (len(words) - 5) // 2
    for in_place in (False, True):
        time, _, _, wrong, *single = words[5 + half * in_place : 5 + half * (in_place + 1)]
        p99 = _number(single[2]) if single else None
        yield from _row(table, size, dtype, _number(time), _number(wrong), in_place=in_place, p99_us=p99)


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


class _Place(msgspec.Struct):
    time: float | str | None = None
    nwrong: float | str | None = None


class _PerIteration(msgspec.Struct):
    p95_us: float | str | None = None
    p99_us: float | str | None = None


class _Result(msgspec.Struct):
    size: int
    type: str
    out_of_place: _Place | None = None
    in_place: _Place | None = None
    out_of_place_per_iter: _PerIteration | None = None
    in_place_per_iter: _PerIteration | None = None


class _Config(msgspec.Struct):
    nthreads: int
    ngpus: int
    iterations: int
    graph: int = 0
    devices: list[dict[str, str | int]] = []


class _File(msgspec.Struct):
    args: list[str]
    config: _Config
    results: list[_Result]
    nccl_version: int = 0


def of_json(path: Path, content: bytes) -> BenchReport | None:
    """What `-J` wrote, None where the file is something else. Raises TraceanaError for an operation not known."""
    try:
        file = msgspec.json.decode(content, type=_File)
    except DECODE_ERRORS:
        return None
    config = file.config
    # A process has one entry, whatever the number of its GPUs.
    processes = max(len(config.devices), 1)
    table = _Table(
        op=_operation(path, Path(file.args[0]).name if file.args else ""),
        ranks=processes * config.nthreads * config.ngpus,
        iterations=config.iterations,
        graph=bool(config.graph),
    )
    rows = [row for result in file.results for row in _rows_of_result(table, result)]
    devices = dict.fromkeys(str(device.get("device_info", "")) for device in config.devices)
    return _report(path, table, rows, [("NCCL", _nccl(file.nccl_version)), *[("device", name) for name in devices]])


def _rows_of_result(table: _Table, result: _Result) -> Iterator[BenchRow]:
    places = (
        (False, result.out_of_place, result.out_of_place_per_iter),
        (True, result.in_place, result.in_place_per_iter),
    )
    for in_place, found, single in places:
        if found is not None:
            wrong, time = _real(found.nwrong), _real(found.time)
            p95, p99 = (_real(single.p95_us), _real(single.p99_us)) if single else (None, None)
            yield from _row(table, result.size, result.type, time, wrong, in_place=in_place, p95_us=p95, p99_us=p99)


def _real(value: float | str | None) -> float | None:
    return value if isinstance(value, float) else None


def _row(
    table: _Table,
    size: int,
    dtype: str,
    time_us: float | None,
    wrong: float | None,
    *,
    in_place: bool,
    p95_us: float | None = None,
    p99_us: float | None = None,
) -> Iterator[BenchRow]:
    """Nothing where there is no time, where results were wrong, or in place where that is another operation."""
    if not time_us or not size or wrong or (in_place and table.op in _NEVER_IN_PLACE):
        return
    ns = round(time_us * 1000)
    algbw = size / max(ns, 1)
    yield BenchRow(
        op=table.op,
        message_bytes=size,
        dtype=_DTYPES.get(dtype, dtype),
        backend=BACKEND,
        graph=table.graph,
        in_place=in_place,
        calls=table.iterations,
        p50_ns=ns,
        p95_ns=None if p95_us is None else round(p95_us * 1000),
        p99_ns=None if p99_us is None else round(p99_us * 1000),
        algbw_gbps=algbw,
        busbw_gbps=algbw * bus_factor(table.op.removesuffix("v"), table.ranks),
        launch_ns=None,
        blocks_ns=(ns,),
        checked=wrong is not None,
    )


def _operation(path: Path, program: str) -> str:
    op = operation_of_call(program)
    if op == UNKNOWN:
        raise TraceanaError(
            f"{path}: is nccl-tests' output and does not say of which test; name the file after it, as all_reduce.txt, "
            "or write it with -J"
        )
    return f"{op}v" if op == "all_to_all" and "alltoallv" in program else op


def _report(path: Path, table: _Table, rows: Sequence[BenchRow], machine: list[tuple[str, str]]) -> BenchReport:
    if not rows:
        raise TraceanaError(f"{path}: nccl-tests' output without a row that has a time and right results")
    return BenchReport(
        ranks=table.ranks,
        machine=tuple(machine),
        backends=((BACKEND, "its time holds launches, where these are slower than the calls"),),
        rows=tuple(rows),
        verdicts=(),
        crossovers=(),
        not_measured=tuple[NotMeasured, ...](),
    )


def _nccl(version: int) -> str:
    """22809 is 2.28.9."""
    return f"{version // 10000}.{version // 100 % 100}.{version % 100}" if version else "not known"
