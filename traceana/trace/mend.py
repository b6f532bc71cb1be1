"""Mends what is damaged in a known way that leaves no doubt of what was meant.

That is invalid UTF-8, control characters and `NaN` (all from names and arguments that Kineto copies through), and a
comma as decimal point (pytorch#191032).
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from operator import ne, or_
from typing import NamedTuple

# Blanks among them are damage in a string alone.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
# Once control characters are marked, the others are free to stand for what is escaped.
_MARK = b"\x1f"
_CONTROL_TO_MARK = bytes([*_MARK * 32, *range(32, 1 << 8)])
_ESCAPED = ((b"\\\\", b"\1\1"), (b'\\"', b"\1\2"))
# No UTF-8 has it.
_BORDER = b"\xff"
# Strings take several times the memory of their text; no event is as long.
_BATCH_BYTES = 2 << 20
# Both are searched in what is left without strings, where a quote stands for each.
_NOT_A_NUMBER = re.compile(rb"-?[NnIi](?:aN|an|nfinity|nf)")
_DECIMAL_COMMA = re.compile(rb'("\s*:\s*-?\d+),(?=\d+\s*[,}])')


class Piece(NamedTuple):
    """Text of an event or of a part of one, and whether it was mended."""

    text: bytes
    mended: bool = False


def mend(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces with their known damage mended: those that have none, as no good event has, are as they were.

    Many are taken at once: to begin with one takes longer than what is to be done to it.
    """
    ends = list(accumulate(len(piece.text) for piece in pieces))
    mended: list[Piece] = []
    while len(mended) < len(pieces):
        start = len(mended)
        end = bisect_right(ends, (ends[start - 1] if start else 0) + _BATCH_BYTES)
        mended += _mend(pieces[start:end]) if end > start else pieces[start : start + 1]
    return mended


def _mend(pieces: Sequence[Piece]) -> list[Piece]:
    readable = [piece.text if piece.text.isascii() else _readable(piece.text) for piece in pieces]
    marked = _marked(_BORDER.join(readable)).split(_BORDER)
    # One quote too few would make strings of all that is between strings.
    parts = _BORDER.join([text if text.count(b'"') % 2 == 0 else b"" for text in marked]).split(b'"')
    bare = b'"'.join(parts[::2]).replace(_MARK, b" ")
    numbers = _with_points(_NOT_A_NUMBER.sub(b"null", bare))
    damaged = list(map(ne, bare.split(_BORDER), numbers.split(_BORDER)))
    if _MARK in b"".join(parts[1::2]) or _CONTROL.search(_BORDER.join(readable)):
        damaged = list(map(or_, damaged, map(_has_controls, readable, marked)))
    parts[::2] = numbers.split(b'"')
    mended = _unmarked(b'"'.join(parts)).split(_BORDER)
    return [
        Piece(new, mended=True) if new and (changed or text is not piece.text) else piece
        for piece, text, new, changed in zip(pieces, readable, mended, damaged, strict=True)
    ]


def depth(text: bytes) -> int:
    """How many more brackets a text opens than it closes."""
    bare = b"".join(_marked(text).split(b'"')[::2])
    return bare.count(b"{") + bare.count(b"[") - bare.count(b"}") - bare.count(b"]")


def _readable(text: bytes) -> bytes:
    """The text as UTF-8: itself where it is."""
    readable = text.decode("utf-8", "replace").encode()
    return text if readable == text else readable


def _with_points(bare: bytes) -> bytes:
    """The text with points for decimal commas; what `sub` does for each of many takes longer."""
    parts = _DECIMAL_COMMA.split(bare)
    parts[1::2] = [whole + b"." for whole in parts[1::2]]
    return b"".join(parts)


def _has_controls(text: bytes, marked: bytes) -> bool:
    """Whether control characters are where none may be."""
    return _CONTROL.search(text) is not None or _MARK in b"".join(marked.split(b'"')[1::2])


def _marked(text: bytes) -> bytes:
    """The text with a mark for each control character, and no quote but those at the ends of strings."""
    text = text.translate(_CONTROL_TO_MARK)
    for escaped, other in _ESCAPED:
        text = text.replace(escaped, other)
    return text


def _unmarked(text: bytes) -> bytes:
    """The text with blanks for control characters."""
    text = text.replace(_MARK, b" ")
    for escaped, other in _ESCAPED:
        text = text.replace(other, escaped)
    return text
