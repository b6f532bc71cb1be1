"""What files hold, told by a digest of every byte.

Times and sizes alone do not tell: a file can be changed within one tick of a clock, and its time be set back.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from traceana.trace.remote import RemotePath

_BLOCK = 1 << 20
_MANY_BYTES = 64 << 20


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """A digest of what a file held, and its number, size and times then."""

    digest: str
    stamp: tuple[int, ...]

    def is_still_in(self, path: Path) -> bool:
        """Whether the file is one that nobody wrote since; its times cannot be set back, but for the last change's."""
        try:
            return _stamp(path.stat()) == self.stamp
        except OSError:
            return False


def contents(paths: Iterable[Path]) -> dict[Path, Content]:
    """Of each file that can be read; of those in an object store, which would have to be fetched, none."""
    files = [path for path in paths if not isinstance(path, RemotePath)]
    if len(files) > 1 and sum(map(_size, files)) > _MANY_BYTES:
        # The interpreter's lock is released while digests are made; for a few files the import takes longer.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor() as threads:
            found = list(threads.map(_content, files))
    else:
        found = [_content(file) for file in files]
    return {file: content for file, content in zip(files, found, strict=True) if content is not None}


def _content(path: Path) -> Content | None:
    """None where the file cannot be read, or is written meanwhile."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            before = _stamp(os.fstat(file.fileno()))
            while block := file.read(_BLOCK):
                digest.update(block)
            after = _stamp(os.fstat(file.fileno()))
    except OSError:
        return None
    return Content(digest=digest.hexdigest(), stamp=after) if before == after else None


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
