"""What every reader of files from elsewhere shares: what may be opened, and what decoding may raise."""

import os
import stat
from decimal import InvalidOperation
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

import msgspec

DECODE_ERRORS = (msgspec.MsgspecError, UnicodeError, InvalidOperation, OverflowError, RecursionError, ValueError)
"""Damaged text, whatever decodes it; MemoryError is none of these: the text may be good."""

# Windows has no pipes that could keep a reader waiting, and would change the bytes of a text.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))


@runtime_checkable
class OpensItself(Protocol):
    """A path to what the system cannot open, such as an object of a store."""

    def open_object(self) -> BinaryIO:
        """For reading; raises OSError."""
        ...


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading; raises OSError, also for what is no file: a pipe would keep its reader waiting.

    A path that is not of this machine's disks opens itself.
    """
    if isinstance(path, OpensItself):
        return path.open_object()
    number = os.open(path, _FLAGS)
    if stat.S_ISREG(os.fstat(number).st_mode):
        return os.fdopen(number, "rb")
    os.close(number)
    raise OSError(None, "is no regular file")


def read_regular(path: Path) -> bytes:
    """All of a file; raises OSError as `open_regular` does."""
    with open_regular(path) as file:
        return file.read()
