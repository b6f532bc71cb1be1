"""bench.json, written and read; nccl-tests' output is read as well, so that a site's own figures serve."""

from pathlib import Path

import msgspec
from traceana_capture.reading import DECODE_ERRORS

from traceana.errors import TraceanaError
from traceana.report.bench import BENCH_SCHEMA_VERSION, BenchReport
from traceana.saved import nccl_tests

_LARGEST = 64 << 20


def write_bench(report: BenchReport, path: Path) -> None:
    """Write bench.json. Raises TraceanaError where it cannot be written."""
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    except OSError as error:
        raise TraceanaError(f"{path}: cannot be written ({error.strerror}); name another file with -o") from error


def read_bench(path: Path) -> BenchReport:
    """A bench's report from bench.json or from nccl-tests' text or JSON.

    Raises TraceanaError where the file cannot be read or is neither.
    """
    content = _content(path)
    try:
        found = _of_nccl_tests(path, content)
    except (*DECODE_ERRORS, ArithmeticError) as error:  # numbers that no run has: no rank, no time
        raise _other(path) from error
    if found is not None:
        return found
    try:
        report = msgspec.json.decode(content, type=BenchReport)
    except DECODE_ERRORS as error:
        raise _other(path) from error
    if report.schema_version != BENCH_SCHEMA_VERSION:
        raise TraceanaError(
            f"{path}: has schema {report.schema_version}, this version reads {BENCH_SCHEMA_VERSION}; bench again"
        )
    return report


def _of_nccl_tests(path: Path, content: bytes) -> BenchReport | None:
    if content.lstrip().startswith(b"{"):
        return nccl_tests.of_json(path, content)
    text = content.decode(errors="replace")
    if nccl_tests.is_text(text):
        return nccl_tests.of_text(path, text)
    raise _other(path)


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise _other(path)
        return path.read_bytes()
    except OSError as error:
        raise TraceanaError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error


def _other(path: Path) -> TraceanaError:
    return TraceanaError(
        f"{path}: is no bench; name what `traceana bench -o` wrote, or the output of nccl-tests (also with -J)"
    )
