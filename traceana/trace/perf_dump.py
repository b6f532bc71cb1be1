"""sglang's perf dumps: what `sglang generate --perf-dump-path FILE` writes about one request.

Format: sglang's `multimodal_gen/runtime/utils/perf_logger.py`. Stages of one name are added up and steps named
`denoising_step_N` joined to "Denoising Loop", as its `benchmarks/compare_perf.py` does.
"""

import glob
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from traceana_capture.reading import DECODE_ERRORS, read_regular

from traceana.errors import TraceanaError
from traceana.plain import plain
from traceana.report import MemoryCheckpoint, PerfDump, Stage
from traceana.trace.under_capture import slowed

DENOISING_LOOP = "Denoising Loop"
_DENOISING_STEP = re.compile(r"denoising_step_\d+")
_LARGEST = 4 << 20
_BYTES_PER_MB = 1 << 20


# A century: a longer time is none, and in ns a number that no column holds.
_Milliseconds = Annotated[float, msgspec.Meta(ge=-3e12, le=3e12)]
_Megabytes = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]


class _Stage(msgspec.Struct):
    name: str = "unknown"
    duration_ms: _Milliseconds = 0.0


class _Step(msgspec.Struct):
    duration_ms: _Milliseconds


class _File(msgspec.Struct):
    total_duration_ms: _Milliseconds
    steps: list[_Stage]
    timestamp: str | None = None
    request_id: str | None = None
    commit_hash: str | None = None
    tag: str | None = None
    denoise_steps_ms: list[_Step] = []
    memory_checkpoints: dict[str, dict[str, _Megabytes | None]] = {}
    meta: dict[str, Any] = {}


def read_perf_dump(path: Path) -> PerfDump:
    """Read one dump. Raises TraceanaError where the file cannot be read or is none."""
    dump = find_perf_dump(path)
    if dump is None:
        raise TraceanaError(f"{path}: is no perf dump; name a file that sglang's --perf-dump-path wrote")
    return dump


def find_perf_dump(path: Path) -> PerfDump | None:
    """The dump, or None where the file is something else. Raises TraceanaError where it cannot be read."""
    file = _decoded(path)
    if file is None:
        return None
    total_ns = _ns(file.total_duration_ms)
    return PerfDump(
        file=plain(path.name),
        request_id=file.request_id,
        commit=file.commit_hash,
        tag=file.tag,
        timestamp=file.timestamp,
        total_ns=total_ns,
        stages=_stages(file.steps),
        denoise_steps_ns=tuple(_ns(step.duration_ms) for step in file.denoise_steps_ms),
        memory=tuple(_checkpoint(name, values) for name, values in file.memory_checkpoints.items()),
        meta=tuple((name, _text(value)) for name, value in file.meta.items()),
        slowed=slowed(path, file.timestamp, total_ns),
    )


def is_perf_dump(path: Path) -> bool:
    """Whether a file can be read and is one."""
    try:
        return _decoded(path) is not None
    except TraceanaError:
        return False


def _decoded(path: Path) -> _File | None:
    try:
        if path.stat().st_size > _LARGEST:
            return None
        return msgspec.json.decode(read_regular(path), type=_File)
    except OSError as error:
        raise TraceanaError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    except DECODE_ERRORS:
        return None


def beside(folder: Path) -> tuple[Path, ...]:
    """JSON files beside a run's folder that are named after it: `FOLDER.json`, `FOLDER-perf.json`, …"""
    named_after = re.compile(re.escape(folder.name) + r"(?:[-_.][A-Za-z][\w.-]*)?\.json")
    return tuple(
        path
        for path in sorted(folder.parent.glob(f"{glob.escape(folder.name)}*.json"))
        if named_after.fullmatch(path.name) and (path.stem == folder.name or not path.with_suffix("").is_dir())
    )


def _ns(milliseconds: float) -> int:
    return round(milliseconds * 1_000_000)


def _stages(steps: Sequence[_Stage]) -> tuple[Stage, ...]:
    durations: dict[str, list[float]] = {}
    for step in steps:
        name = DENOISING_LOOP if _DENOISING_STEP.fullmatch(step.name) else step.name
        durations.setdefault(name, []).append(step.duration_ms)
    return tuple(
        Stage(name=name, duration_ns=_ns(sum(values)), count=len(values)) for name, values in durations.items()
    )


def _checkpoint(name: str, values: dict[str, float | None]) -> MemoryCheckpoint:
    def size(key: str) -> int | None:
        value = values.get(key)
        return None if value is None else round(value * _BYTES_PER_MB)

    return MemoryCheckpoint(
        name=name,
        allocated_bytes=size("allocated_mb"),
        reserved_bytes=size("reserved_mb"),
        peak_allocated_bytes=size("peak_allocated_mb"),
        peak_reserved_bytes=size("peak_reserved_mb"),
    )


def _text(value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
