"""Decodes the events that pieces of a damaged stretch make, many at once, and tells which pieces make none."""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from traceana_capture.reading import DECODE_ERRORS

from traceana.trace.events import Chunk, Decode
from traceana.trace.mend import Piece

# Objects nested in args look like events; an event is glued together from at most this many pieces.
MOST_PIECES = 8
_FIRST_RUN = 64
# Instead of how many pieces make an event: none do, or what is to come may belong to it.
_NONE, _OPEN = 0, -1
_ELEMENT = re.compile(r"`\$\[(\d+)\]")
_Ints = npt.NDArray[np.int64]


class Decoded(NamedTuple):
    """The events that pieces make, how many of them were mended, and the places of pieces that make none.

    What begins at place `end` is no whole event yet.
    """

    chunks: list[Chunk]
    repaired: int
    lost: list[int]
    end: int


def decode_pieces(pieces: Sequence[Piece], decode: Decode, *, at_end: bool) -> Decoded:
    """Decode runs of events, which grow; where one fails, what follows the damaged event begins another one."""
    lengths, texts = _lengths(pieces), [piece.text for piece in pieces]
    chunks: list[Chunk] = []
    kept: list[int] = []
    at, run = 0, _FIRST_RUN
    while True:
        firsts, end = _run(lengths, at, run)
        chunk, good, is_lost = _decode_run([_joined(texts, first, lengths[first]) for first in firsts], decode)
        chunks.append(chunk)
        kept += firsts[:good]
        if good < len(firsts):
            end, at, run = firsts[good], firsts[good] + is_lost, 2 * good + 1
            if at == len(pieces):
                break
        elif end == len(pieces) or (lengths[end] == _OPEN and _may_go_on(texts[end:], decode, at_end=at_end)):
            break
        else:
            # What is open and cannot go on is lost; all else before `end` is done with.
            at, run = end + (lengths[end] == _OPEN), 2 * run
    return _decoded(pieces, chunks, np.array(kept, dtype=np.int64), np.array(lengths, dtype=np.int64), end)


def _lengths(pieces: Sequence[Piece]) -> list[int]:
    """Of how many pieces the event is that each would begin, as quotes and brackets tell; what is to come is open."""
    depths = np.array([piece.depth for piece in pieces], dtype=np.int64)
    torn = np.array([piece.torn for piece in pieces])
    after = np.cumsum(depths)
    before = after - depths
    lengths = np.full(len(pieces), _NONE, dtype=np.int64)
    begun = np.arange(len(pieces))
    for count in range(1, MOST_PIECES + 1):
        last = begun + count - 1
        lengths[begun[last >= len(pieces)]] = _OPEN
        begun, last = begun[last < len(pieces)], last[last < len(pieces)]
        opened = np.where(torn[last], -1, after[last] - before[begun])
        lengths[begun[opened == 0]] = count
        begun = begun[opened > 0]
    if lengths[-1] == _NONE:
        lengths[-1] = _OPEN
    return [*lengths.tolist(), _OPEN]


def _run(lengths: list[int], at: int, most: int) -> tuple[list[int], int]:
    """Where the next events begin, and where what follows them does."""
    firsts: list[int] = []
    while len(firsts) < most and (length := lengths[at]) != _OPEN:
        if length:
            firsts.append(at)
        at += length or 1
    return firsts, at


def _joined(texts: list[bytes], first: int, length: int) -> bytes:
    return texts[first] if length == 1 else b",".join(texts[first : first + length])


def _decode_run(texts: list[bytes], decode: Decode) -> tuple[Chunk, int, bool]:
    """The good events that texts begin with, how many texts these are, and whether the next one is known to be bad."""
    is_bad = False
    while texts:
        try:
            return decode(b",".join(texts)), len(texts), is_bad
        except DECODE_ERRORS as error:
            good, is_bad = _before_fault(texts, error)
            texts = texts[:good]
    return Chunk([], []), 0, is_bad


def _before_fault(texts: list[bytes], error: Exception) -> tuple[int, bool]:
    """How many texts to try instead, fewer than there are, and whether the one behind them is known to be bad."""
    if len(texts) == 1:
        return 0, True
    words = str(error)
    if isinstance(error, msgspec.ValidationError):
        element = _ELEMENT.search(words)
        good = min(int(element[1]), len(texts) - 1) if element else len(texts) // 2
        return good, good == 0
    place = _place(words)
    if place is None or not isinstance(error, msgspec.DecodeError):
        return len(texts) // 2, False
    return _text_at(texts, place), True


def _place(words: str) -> int | None:
    """The place of a fault, which msgspec tells in the array that decoding makes of the text."""
    _, known, place = words.rpartition("(byte ")
    return int(place.removesuffix(")")) - 1 if known else None


def _text_at(texts: list[bytes], place: int) -> int:
    for number, end in enumerate(accumulate(len(text) + 1 for text in texts)):
        if place < end:
            return number
    return len(texts) - 1


def _may_go_on(texts: list[bytes], decode: Decode, *, at_end: bool) -> bool:
    """Whether what follows may complete the event that begins with these last pieces."""
    if len(texts) == 1 or at_end:
        return len(texts) == 1
    text = b",".join(texts)
    try:
        decode(text)
    except msgspec.ValidationError:
        return False
    except msgspec.DecodeError as error:
        place = _place(str(error))
        return place is None or place >= len(text)
    except DECODE_ERRORS:
        return False
    return False


def _decoded(pieces: Sequence[Piece], chunks: list[Chunk], kept: _Ints, lengths: _Ints, end: int) -> Decoded:
    behind = kept + lengths[kept]
    mended = np.cumsum([0, *(piece.mended for piece in pieces)])
    ends = np.bincount(behind, minlength=end + 1)[: end + 1]
    inside = np.cumsum(np.bincount(kept, minlength=end + 1)[: end + 1] - ends)
    return Decoded(
        chunks=chunks,
        repaired=int(np.count_nonzero(mended[behind] > mended[kept])),
        lost=np.flatnonzero(inside[:end] == 0).tolist(),
        end=end,
    )
