"""Gzip (RFC 1952) a piece at a time, damaged or cut off: all that stands before the damage comes out."""

from collections.abc import Generator, Iterator
from typing import Any

from zlib_ng import zlib_ng

GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 31
# What a member leaves of a piece is copied: a first piece is small, since members may be, and the next ones grow.
_FIRST_PIECE, _LARGEST_PIECE = 4 << 10, 512 << 10
_FINER = 64
# By zlib's words for a wrong field of a member's trailer, what follows that field there (2.3.1).
_CHECKS = {"incorrect data check": 4, "incorrect length check": 0}


class Gunzip:
    """Decompresses concatenated members. After `feed` and `finish`, `cut_short` says what was lost, or is None.

    `bad_checksum` says that all came out, but is not what a checksum was made of.
    """

    def __init__(self) -> None:
        self.cut_short: str | None = None
        self.bad_checksum = False
        self._member = _member()
        self._ended = False
        self._pass_over = 0
        self._piece = _FIRST_PIECE

    def feed(self, data: bytes, most: int) -> Iterator[bytes]:
        """The text of `data`, about `most` bytes at a time."""
        at = 0
        while self.cut_short is None and (at := self._begin(data, at)) < len(data):
            piece = data[at : at + self._piece]
            before = self._member.copy()
            try:
                text = self._member.decompress(piece, most)
            except zlib_ng.error:  # type: ignore[misc]  # its stub says object
                at += yield from self._rescue(before, piece)
                continue
            yield text
            self._ended = self._member.eof
            at += len(piece) - len(self._member.unused_data if self._ended else self._member.unconsumed_tail)
            self._piece = _FIRST_PIECE if self._ended else min(2 * self._piece, _LARGEST_PIECE)

    def finish(self) -> Iterator[bytes]:
        """What was held back; nothing more is to come."""
        if self._ended or self.cut_short is not None:
            return
        self.cut_short = "the gzip stream ends before its end mark"
        try:
            yield self._member.flush()
        except zlib_ng.error as error:  # type: ignore[misc]  # its stub says object
            self.cut_short = f"damaged gzip data ({error})"
            return
        if self._member.eof:
            self.cut_short = None

    def _begin(self, data: bytes, at: int) -> int:
        """Where there is more of a member, or another one begins; zeros may follow the last one (2.2)."""
        passed = min(self._pass_over, len(data) - at)
        self._pass_over -= passed
        at += passed
        if self._ended and data[at : at + 1] == b"\0":
            at = len(data) - len(data[at:].lstrip(b"\0"))
        if self._ended and at < len(data):
            self._member, self._ended = _member(), False
        return at

    def _rescue(self, member: Any, piece: bytes) -> Generator[bytes, None, int]:
        """The text before the damage in a piece, found by smaller and smaller parts; returns how much of it is used."""
        at, step = 0, len(piece)
        while True:
            step = max(step // _FINER, 1)
            try:
                while at < len(piece):
                    before = member.copy()
                    yield member.decompress(piece[at : at + step])
                    at += step
            except zlib_ng.error as error:  # type: ignore[misc]  # its stub says object
                member = before
                if step == 1:
                    return self._settle(str(error), at + 1)

    def _settle(self, error: str, used: int) -> int:
        """Tell what is damaged; returns how much of a piece is used."""
        left = next((left for check, left in _CHECKS.items() if check in error), None)
        if left is None:
            self.cut_short = f"damaged gzip data ({error})"
        else:
            self.bad_checksum = self._ended = True
            self._pass_over = left
        return used


def _member() -> Any:
    return zlib_ng.decompressobj(wbits=_GZIP_WINDOW)
