"""Decodes the events that pieces of a damaged stretch make, many at once, and tells which pieces make none."""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import msgspec
import numpy as np
from traceana_capture.reading import DECODE_ERRORS

from traceana.trace.events import EVENT_KEYS, PHASE, Chunk, Decode, place_of
from traceana.trace.mend import Piece

# Objects nested in args look like events; an event is glued together from at most this many pieces.
MOST_PIECES = 8
_FIRST_RUN = 64
# So few events are decoded one by one sooner than up to the damage, and again without it.
_FEW = 12
# Instead of how many pieces make an event: none do, or what is to come may belong to it.
_NONE, _OPEN = 0, -1
_ELEMENT = re.compile(r"`\$\[(\d+)\]")


class Decoded(NamedTuple):
    """The events that pieces make, how many of them were mended, and the places of pieces that are lost.

    What begins at place `end` is no whole event yet.
    """

    chunks: list[Chunk]
    repaired: int
    lost: list[int]
    end: int


def decode_pieces(pieces: Sequence[Piece], decode: Decode, *, at_end: bool) -> Decoded:
    """Decode runs of events, which grow; where many are damaged, one event after the other."""
    lengths, texts = _lengths(pieces), [piece.text for piece in pieces]
    done: list[_Found] = []
    at, run, lost = 0, _FIRST_RUN, -1
    while True:
        if lengths[at] == _OPEN:
            if at == len(pieces) or _may_go_on(texts[at:], decode, at_end=at_end):
                break
            at += 1
            continue
        found = _singly(texts, lengths, at, decode) if run < _FEW else _together(texts, lengths, at, run, decode)
        # As far as it was good since the last loss, it may be again.
        run = 2 * (found.lost - lost) if run >= _FEW and found.lost is not None else found.run
        done.append(found)
        at, lost = found.at, lost if found.lost is None else found.lost
    # Of a last piece that makes no event what is to come may make one.
    return _decoded(pieces, done, lengths, at - (lost == len(pieces) - 1))


class _Found(NamedTuple):
    """What some events gave: where those that are kept begin, and where to go on with how many."""

    chunks: list[Chunk]
    firsts: list[int]
    at: int
    run: int
    lost: int | None = None
    """The last place that makes no event, if one was met."""


def _together(texts: list[bytes], lengths: list[int], at: int, most: int, decode: Decode) -> _Found:
    """The next events at once; where that fails, what follows the damaged one begins another run."""
    firsts, end = _run(lengths, at, most)
    chunk, good, is_lost = _decode_run([_joined(texts, first, lengths[first]) for first in firsts], decode)
    if good == len(firsts):
        return _Found([chunk], firsts, end, 2 * most)
    return _Found([chunk], firsts[:good], firsts[good] + is_lost, 2 * good + 1, firsts[good] if is_lost else None)


def _singly(texts: list[bytes], lengths: list[int], at: int, decode: Decode) -> _Found:
    """The next few events one by one: as many calls, but none is decoded again for the damage behind it."""
    chunks: list[Chunk] = []
    firsts: list[int] = []
    losses, lost = 0, None
    while len(firsts) + losses < _FEW and (length := lengths[at]) != _OPEN:
        if length:
            try:
                chunks.append(decode(_joined(texts, at, length)))
            except DECODE_ERRORS:
                losses, lost, length = losses + 1, at, 1
            else:
                firsts.append(at)
        at += length or 1
    return _Found(chunks, firsts, at, 2 * len(firsts) // (losses + 1) + 1, lost)


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
    # What has no phase is nobody's event: to decode it would take as long as to decode one.
    lengths[(lengths == 1) & ~np.array([PHASE in piece.text for piece in pieces])] = _NONE
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
    element = _ELEMENT.search(str(error))
    if element:
        good = min(int(element[1]), len(texts) - 1)
        return good, good == 0
    place = place_of(error)
    if place is None:
        return len(texts) // 2, False
    return _text_at(texts, place), True


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
        place = place_of(error)
        return place is None or place >= len(text)
    except DECODE_ERRORS:
        return False
    return False


def _is_other(piece: Piece) -> bool:
    """Whether it is an object of something else, and no event that was damaged."""
    return piece.depth == 0 and not piece.torn and not any(key in piece.text for key in EVENT_KEYS)


def _decoded(pieces: Sequence[Piece], done: list[_Found], lengths: list[int], end: int) -> Decoded:
    kept = np.array([first for found in done for first in found.firsts], dtype=np.int64)
    behind = kept + np.array(lengths, dtype=np.int64)[kept]
    mended = np.cumsum([0, *(piece.mended for piece in pieces)])
    ends = np.bincount(behind, minlength=end + 1)[: end + 1]
    inside = np.cumsum(np.bincount(kept, minlength=end + 1)[: end + 1] - ends)
    return Decoded(
        chunks=[chunk for found in done for chunk in found.chunks],
        repaired=int(np.count_nonzero(mended[behind] > mended[kept])),
        lost=[place for place in np.flatnonzero(inside[:end] == 0).tolist() if not _is_other(pieces[place])],
        end=end,
    )
