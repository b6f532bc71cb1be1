"""The hidden folder beside a run's own, on the same file system, where its files grow until they are published."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from traceana.errors import TraceanaError


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[Path]:
    """Hold `path` as an empty folder until the end; what a killed launcher left there is removed first.

    Raises TraceanaError while another launcher holds it. The kernel drops the lock with its holder.
    """
    path.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDONLY)
    try:
        _lock(lock, path)
        _empty(path)
        try:
            yield path.absolute()
        finally:
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise TraceanaError(f"{path} belongs to a run that goes on; give another --label") from error


def _empty(path: Path) -> None:
    """Remove the entries and keep the folder, because the lock is on it."""
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
