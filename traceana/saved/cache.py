"""Measured ranks kept beside their run, so that the same file is not read twice.

An entry's name holds a digest of the trace's whole content, of what measures, and of the user's patterns: a file that
changed, or another version, finds none. A trace has one entry at most.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from traceana.analyze.measure import RankResult, measure_rank
from traceana.errors import TraceanaError
from traceana.kernels import KernelPattern
from traceana.saved import measured
from traceana.trace.remote import RemotePath

FOLDER = ".traceana"
_SUFFIX = ".measured"
_BLOCK = 1 << 20


def cached(path: Path, own_patterns: Sequence[KernelPattern] = ()) -> RankResult | None:
    """What was measured of this very content before; None where nothing was, or it cannot be read.

    Nothing is kept in an object store: a digest would cost as much as the reading.
    """
    if isinstance(path, RemotePath):
        return None
    try:
        content = _entry(path, own_patterns).read_bytes()
        return replace(measured.decode(content), path=path)
    except (OSError, TraceanaError):
        return None


def measure_and_keep(path: Path, own_patterns: Sequence[KernelPattern] = ()) -> RankResult:
    """Measure the file and keep what was found, where its folder can be written and the file did not change meanwhile.

    Raises TraceanaError as measuring does.
    """
    if isinstance(path, RemotePath):
        return measure_rank(path, own_patterns)
    before = path.stat()
    result = measure_rank(path, own_patterns)
    with contextlib.suppress(OSError):
        entry, after = _entry(path, own_patterns), path.stat()
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            _write(path, entry, measured.encode(result))
    return result


def _write(path: Path, entry: Path, content: bytes) -> None:
    folder = entry.parent
    # Root may write where the owner lets nobody write; the owner's word counts.
    if not folder.parent.stat().st_mode & stat.S_IWUSR:
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    # A folder that leads elsewhere is not ours.
    if folder.is_symlink():
        return
    partial = folder / f"{os.getpid()}.partial"
    partial.write_bytes(content)
    for old in folder.glob(f"{_escaped(path.name)}.*{_SUFFIX}"):
        old.unlink(missing_ok=True)
    partial.replace(entry)


def _escaped(name: str) -> str:
    return "".join(f"[{one}]" if one in "*?[" else one for one in name)


def _entry(path: Path, own_patterns: Sequence[KernelPattern]) -> Path:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    digest.update(measured.version().encode())
    for own in own_patterns:
        digest.update(repr((own.library, own.regex.pattern, own.regex.flags, own.backend, own.op)).encode())
    return path.parent / FOLDER / f"{path.name}.{digest.hexdigest()}{_SUFFIX}"
