"""A reader that has seen enough, as `| head -1` has, changes neither what a command does nor its exit code."""

import io
import os
import sys
from typing import TextIO, cast


def outlive_readers() -> None:
    """Let what is printed after a pipe's reader has left go nowhere, instead of ending the command."""
    sys.stdout, sys.stderr = _outliving(sys.stdout), _outliving(sys.stderr)


class _Outliving(io.FileIO):
    """A file whose writes go to the null device once nobody reads them."""

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except BrokenPipeError:
            null = os.open(os.devnull, os.O_WRONLY)
            # The file's number stays, so children and whoever prints by number have the null device too.
            os.dup2(null, self.fileno())
            os.close(null)
            return len(data)


def _outliving(stream: TextIO) -> TextIO:
    try:
        number = stream.fileno()
    except (AttributeError, OSError, ValueError):
        return stream  # closed before Python began, or no file
    raw = cast("io.RawIOBase", _Outliving(number, "w", closefd=False))
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        # What the terminal's encoding has no sign for is no reason to say nothing.
        errors="replace" if stream.errors == "strict" else stream.errors,
        line_buffering=stream is sys.stderr or stream.isatty(),
    )
