"""Bytes of a trace file, plain or gzip, a chunk at a time, and whether the file is whole."""

from collections.abc import Iterator
from pathlib import Path

from zlib_ng import zlib_ng

CHUNK_BYTES = 8 << 20
GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 31


class ByteStream:
    """Iterates over the decompressed bytes of `path`; after that, `cut_short` says why it ended early, or is None.

    Gzip is told by its first bytes, not by the file's name. A damaged or truncated gzip stream yields all that could
    be decompressed. Raises OSError where the file cannot be opened or read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut_short: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            if file.peek(2)[:2] == GZIP_MAGIC:
                yield from self._decompress(iter(lambda: file.read(CHUNK_BYTES // 8), b""))
            else:
                yield from iter(lambda: file.read(CHUNK_BYTES), b"")

    def _decompress(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        member = zlib_ng.decompressobj(wbits=_GZIP_WINDOW)
        for block in blocks:
            pending = block
            while pending:
                if member.eof:
                    # Concatenated members are one stream; zero padding after the last one is allowed (RFC 1952, 2.2).
                    pending = pending.lstrip(b"\0")
                    member = zlib_ng.decompressobj(wbits=_GZIP_WINDOW)
                    continue
                try:
                    data = member.decompress(pending, CHUNK_BYTES)
                except zlib_ng.error as error:  # type: ignore[misc]  # its stub says object
                    self.cut_short = f"damaged gzip data ({error})"
                    return
                yield data
                pending = member.unused_data if member.eof else member.unconsumed_tail
        # All input may be consumed while output is still held back by the limit above.
        yield member.flush()
        if not member.eof:
            self.cut_short = "the gzip stream ends before its end mark"


def last_bytes(path: Path, count: int) -> bytes:
    """The last `count` decompressed bytes of a file; of gzip all of it has to be read. Raises OSError."""
    with path.open("rb") as file:
        if file.peek(2)[:2] != GZIP_MAGIC:
            file.seek(max(path.stat().st_size - count, 0))
            return file.read()
    tail = b""
    for block in ByteStream(path):
        tail = (tail + block)[-count:]
    return tail
