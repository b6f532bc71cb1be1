"""All ranks of one or more runs in one Chrome trace, written a rank at a time.

Each rank's part is written by a task of its own into a scratch file beside the target; the parts are then put one
behind the other. For a .gz target every part is a gzip member, and a file of several members is one stream (RFC 1952).
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec
from zlib_ng import gzip_ng, zlib_ng

from traceana.errors import TraceanaError
from traceana.perfetto.part import RankPart, write_part
from traceana.perfetto.plan import Plan
from traceana.pool import Progress, each
from traceana.trace.file import NotATraceError, TraceFile
from traceana.trace.header import MERGED

_LEVEL = 3
_GZIP = 31


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge wrote: ranks, and how many events of each phase ("X" are slices, "s" arrows)."""

    path: Path
    ranks: int
    events: Counter[str]


def check_target(target: Path) -> None:
    """Refuse to replace anything but an earlier merge. Raises TraceanaError."""
    if not target.exists():
        return
    try:
        ours = target.is_file() and TraceFile(target).peek().merged
    except NotATraceError:
        ours = False
    if not ours:
        raise TraceanaError(f"{target}: exists and is no merge that traceana wrote; choose another name with -o")


def write_merge(plan: Plan, target: Path, *, python: bool, workers: int, progress: Progress) -> Merged:
    """Write the plan's ranks to `target`, gzip where its name ends in .gz. Raises TraceanaError where that fails."""
    parts = plan.parts(python=python)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            events = _write_parts(parts, Path(scratch), target.suffix, workers, progress)
            whole = Path(scratch, "whole")
            _join(plan, [_part_path(Path(scratch), part) for part in parts], target.suffix, whole)
            whole.replace(target)
    except OSError as error:
        raise TraceanaError(f"cannot write {target}: {error.strerror}; choose another place with -o") from error
    return Merged(path=target, ranks=len(parts), events=events)


def _write_parts(
    parts: Sequence[RankPart], scratch: Path, suffix: str, workers: int, progress: Progress
) -> Counter[str]:
    write = partial(_write_one, scratch=scratch, suffix=suffix)
    total: Counter[str] = Counter()
    for result in each(write, parts, workers, progress, lambda part: part.path):
        if isinstance(result, TraceanaError):
            raise result
        total += result
    return total


def _write_one(part: RankPart, *, scratch: Path, suffix: str) -> Counter[str]:
    with _open(_part_path(scratch, part), suffix) as file:
        return write_part(part, file)


def _join(plan: Plan, paths: Sequence[Path], suffix: str, whole: Path) -> None:
    with whole.open("wb") as file:
        for index, path in enumerate(paths):
            file.write(_member(b",\n" if index else _head(plan), suffix))
            with path.open("rb") as part:
                shutil.copyfileobj(part, file, 1 << 20)
            path.unlink()
        file.write(_member(b"\n]}\n", suffix))


def _head(plan: Plan) -> bytes:
    """The keys before the events; Perfetto passes over those that it does not know."""
    keys = {
        MERGED: {"runs": list(plan.runs), "ranks": len(plan.ranks)},
        "displayTimeUnit": "ms",
        "baseTimeNanoseconds": plan.base_time_ns,
    }
    return msgspec.json.encode(keys)[:-1] + b',"traceEvents":[\n'


def _member(data: bytes, suffix: str) -> bytes:
    return zlib_ng.compress(data, wbits=_GZIP) if suffix == ".gz" else data


@contextmanager
def _open(path: Path, suffix: str) -> Iterator[BinaryIO]:
    if suffix == ".gz":
        with gzip_ng.open(path, "wb", compresslevel=_LEVEL) as file:  # type: ignore[no-untyped-call]
            yield file
    else:
        with path.open("wb") as file:
            yield file


def _part_path(scratch: Path, part: RankPart) -> Path:
    return scratch / f"part{part.position}"
