"""Keeps every whole event of a damaged stretch of a trace, and counts what is lost.

Known damage: invalid UTF-8, control characters and `NaN` (all from names and arguments that Kineto copies through), a
comma as decimal point (pytorch#191032), quotes that are not escaped (kineto#1459).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from traceana.trace.events import Chunk, Decode, DecodeError, decode_events, join

# The comma between two events may be lost too.
EVENT_BOUNDARY = re.compile(rb"\}\s*,?(?=\s*\{\s*\"(?:ph|cat|name|pid|tid|ts|dur|id|args|s|bp)\"\s*:)")
# Objects nested in args look like events; an event is glued together from at most this many pieces.
_MOST_PIECES = 8
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_NOT_A_NUMBER = re.compile(rb"(?<=[:,\[])(\s*)(?:-?(?:NaN|nan|Infinity|inf))(?=\s*[,\]}])")
_DECIMAL_COMMA = re.compile(rb'("\s*:\s*-?\d+),(\d+)(?=\s*[,}])')


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """What came out of a damaged stretch; `unfinished` are the bytes at its end that are no whole event yet."""

    chunk: Chunk
    skipped: int
    repaired: int
    unfinished: bytes


def last_boundary(data: bytes) -> int | None:
    """Index just after the last event that is followed by another one, or None."""
    window = 1 << 16
    while True:
        start = max(len(data) - window, 0)
        starts = [match.start() for match in EVENT_BOUNDARY.finditer(data, start)]
        if starts:
            return starts[-1] + 1
        if start == 0:
            return None
        window *= 8


def salvage(data: bytes, *, at_end: bool = False, decode: Decode = decode_events) -> Salvage:
    """Decode the events of `data` one by one, repairing what can be repaired; `at_end` says that nothing follows."""
    pieces = _split(data)
    if at_end and pieces:
        pieces[-1:] = _part_from_stump(pieces[-1], decode)
    chunks: list[Chunk] = []
    skipped = repaired = position = 0
    while position < len(pieces):
        found = _glued(pieces[position : position + _MOST_PIECES], decode)
        if found:
            chunks.append(found.chunk)
            repaired += found.mended
            position += found.pieces
        elif position == len(pieces) - 1:
            break
        else:
            skipped += 1
            position += 1
    return Salvage(chunk=join(chunks), skipped=skipped, repaired=repaired, unfinished=b",".join(pieces[position:]))


class _Event(NamedTuple):
    """An event, of how many pieces it was glued together, and whether it needed mending."""

    chunk: Chunk
    pieces: int
    mended: bool


def _glued(pieces: Sequence[bytes], decode: Decode) -> _Event | None:
    """The event that the first pieces make, of as few as will do."""
    for count in range(1, len(pieces) + 1):
        chunk, mended = _decode_or_mend(b",".join(pieces[:count]), decode)
        if chunk is not None:
            return _Event(chunk, count, mended)
    return None


def _part_from_stump(piece: bytes, decode: Decode) -> list[bytes]:
    """A last piece that goes on after its event, too briefly to be told for another one, in two."""
    for end in list(re.finditer(rb"\}", piece))[: -_MOST_PIECES - 1 : -1]:
        chunk, _ = _decode_or_mend(piece[: end.end()], decode)
        if chunk is not None:
            return [part for part in (piece[: end.end()], piece[end.end() :].strip(b", \t\r\n")) if part]
    return [piece]


def _split(data: bytes) -> list[bytes]:
    cuts = [match.start() + 1 for match in EVENT_BOUNDARY.finditer(data)]
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [piece for piece in (piece.strip(b", \t\r\n") for piece in pieces) if piece]


def _decode_or_mend(piece: bytes, decode: Decode) -> tuple[Chunk | None, bool]:
    """The piece's event and whether it needed mending, or None where it is beyond repair."""
    for mended, text in ((False, piece), (True, _mend(piece))):
        try:
            return decode(text), mended
        except DecodeError:
            continue
    return None, False


def _mend(piece: bytes) -> bytes:
    piece = piece.decode("utf-8", "replace").encode()
    piece = _CONTROL.sub(b" ", piece)
    piece = _NOT_A_NUMBER.sub(rb"\1null", piece)
    return _DECIMAL_COMMA.sub(rb"\1.\2", piece)
