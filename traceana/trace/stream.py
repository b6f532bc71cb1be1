"""Bytes of a trace file, plain or gzip, a chunk at a time, and whether the file is whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from traceana_capture.reading import open_regular

from traceana.trace.gunzip import GZIP_MAGIC, Gunzip

CHUNK_BYTES = 2 << 20


class ByteStream:
    """Iterates over the decompressed bytes of `path`; after that, `cut_short` says why it ended early, or is None.

    Gzip is told by its first bytes, not by the file's name. A damaged or truncated gzip stream yields all that could
    be decompressed; `bad_checksum` says that all could, but that some of it may be damaged. Raises OSError where the
    file cannot be opened or read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut_short: str | None = None
        self.bad_checksum = False

    def __iter__(self) -> Iterator[bytes]:
        with open_regular(self.path) as file:
            if _is_gzip(file):
                yield from _gathered(self._decompress(file))
            else:
                yield from iter(lambda: file.read(CHUNK_BYTES), b"")

    def _decompress(self, file: BinaryIO) -> Iterator[bytes]:
        gunzip = Gunzip()
        while gunzip.cut_short is None and (block := file.read(CHUNK_BYTES // 8)):
            yield from gunzip.feed(block, CHUNK_BYTES)
        yield from gunzip.finish()
        self.cut_short, self.bad_checksum = gunzip.cut_short, gunzip.bad_checksum


def _is_gzip(file: BinaryIO) -> bool:
    first = file.read(len(GZIP_MAGIC))
    file.seek(0)
    return first == GZIP_MAGIC


def _gathered(parts: Iterator[bytes]) -> Iterator[bytes]:
    """What comes in small parts, in larger ones: a block costs its reader a search."""
    held: list[bytes] = []
    size = 0
    for part in parts:
        if part:
            held.append(part)
        size += len(part)
        if size >= CHUNK_BYTES // 8:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def last_bytes(path: Path, count: int) -> bytes:
    """The last `count` decompressed bytes of a file; of gzip all of it has to be read. Raises OSError."""
    with open_regular(path) as file:
        if not _is_gzip(file):
            file.seek(max(path.stat().st_size - count, 0))
            return file.read()
    tail = b""
    for block in ByteStream(path):
        tail = (tail + block)[-count:]
    return tail
