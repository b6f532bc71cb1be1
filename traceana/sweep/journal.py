"""What a sweep has done, one line a finished run: a run counts from the moment in which its line is on the disk.

A line is written whole or not at all: what a kill or a full disk left of one is cut off.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from traceana_capture.reading import DECODE_ERRORS

from traceana.errors import TraceanaError

NAME = "journal.jsonl"
PATIENCE_S = 15.0
Key = tuple[str, str, int]


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the run wrote: its name, its bytes and their SHA-256."""

    file: str
    size_bytes: int
    sha256: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One run that ended. `value_ns` is the metric, None where the run failed or is no time.

    `wall_ns` is how long the command ran, `last_lines` what a failed one said at its end.
    """

    cell: str
    kind: str
    repeat: int
    wall_ns: int
    gpus: int | None = None
    value_ns: int | None = None
    failure: str | None = None
    last_lines: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()
    peak_memory_bytes: int | None = None
    commit: str | None = None

    @property
    def key(self) -> Key:
        """Which turn it was."""
        return self.cell, self.kind, self.repeat


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line: what was asked for, so that another sweep does not go on in this one's folder."""

    command: tuple[str, ...]
    identity: str


class Journal:
    """The records of one folder, held by one process at a time."""

    def __init__(self, descriptor: int, path: Path, records: list[Record]) -> None:
        self.descriptor = descriptor
        self._path = path
        self.records = records

    def append(self, record: Record) -> None:
        """Have the record on the disk. Raises TraceanaError, with nothing of it left, where that fails."""
        _write(self.descriptor, self._path, msgspec.json.encode(record) + b"\n")
        self.records.append(record)


@contextmanager
def opened(folder: Path, head: Head) -> Iterator[Journal]:
    """The folder's journal, begun if there is none.

    Raises TraceanaError where it is another sweep's, is held by one that goes on, is damaged, or cannot be written.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise TraceanaError(f"{path}: cannot be written ({error.strerror}); choose another folder with -o") from error
    try:
        _hold(descriptor, folder)
        first, records = _parsed(_whole_lines(descriptor), path)
        if first is None:
            _write(descriptor, path, msgspec.json.encode(head) + b"\n")
        else:
            _check_same(first, head, folder)
        yield Journal(descriptor, path, records)
    finally:
        os.close(descriptor)


def read(folder: Path, asked: Head | None = None) -> list[Record]:
    """The records of a sweep that may go on meanwhile; none where there is no journal.

    Raises TraceanaError where it is damaged, or another one than `asked`.
    """
    path = folder / NAME
    if not path.is_file():
        return []
    first, records = _parsed(_up_to_last_newline(path.read_bytes()), path)
    if first and asked:
        _check_same(first, asked, folder)
    return records


def _check_same(first: Head, asked: Head, folder: Path) -> None:
    if first.identity != asked.identity:
        raise TraceanaError(
            f"{folder} holds another sweep ({' '.join(first.command)[:120]}); choose another folder with -o, or "
            "give the same command, axes, metric and variables of NCCL to go on with it"
        )


def _hold(descriptor: int, folder: Path) -> None:
    """A sweep that was killed holds it until its last command is gone."""
    limit = time.monotonic() + PATIENCE_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > limit:
                raise TraceanaError(
                    f"a sweep goes on in {folder}; wait for its end, or choose another folder with -o"
                ) from None
            time.sleep(0.05)


def _whole_lines(descriptor: int) -> bytes:
    """All whole lines, after which the file ends from now on."""
    with open(descriptor, "rb", closefd=False) as stream:
        whole = _up_to_last_newline(stream.read())
    os.ftruncate(descriptor, len(whole))
    os.lseek(descriptor, 0, os.SEEK_END)
    return whole


def _up_to_last_newline(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _parsed(content: bytes, path: Path) -> tuple[Head | None, list[Record]]:
    first, *others = content.splitlines() or [b""]
    try:
        head = msgspec.json.decode(first, type=Head) if first else None
        return head, [msgspec.json.decode(line, type=Record) for line in others]
    except DECODE_ERRORS as error:
        raise TraceanaError(
            f"{path}: a line is no sweep's ({error}); take that line out, or begin anew in another folder with -o"
        ) from error


def _write(descriptor: int, path: Path, line: bytes) -> None:
    before = os.fstat(descriptor).st_size
    try:
        rest = line
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError as error:
        os.ftruncate(descriptor, before)
        os.lseek(descriptor, before, os.SEEK_SET)
        raise TraceanaError(
            f"{path}: {error.strerror}, so the last run does not count; make room, then the same command goes on here"
        ) from error
