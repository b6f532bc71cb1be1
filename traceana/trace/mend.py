"""Mends what is damaged in a known way that leaves no doubt of what was meant.

That is invalid UTF-8, control characters and `NaN` (all from names and arguments that Kineto copies through), and a
comma as decimal point (pytorch#191032).
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from traceana.trace.quotes import Places, Quotes, hide_escaped

_TO_BLANKS = bytes([*b" " * 32, *range(32, 1 << 8)])
# Blanks among control characters are damage in a string alone.
_LINES = tuple(b"\t\n\r")
# No UTF-8 has it.
_BORDER = b"\xff"
# A few arrays of their size are held; no event is as long.
_BATCH_BYTES = 2 << 20
_NOT_A_NUMBER = re.compile(rb"[NnIi](?:aN|an|nfinity|nf)")
_DECIMAL_COMMA = re.compile(rb'"\s*:\s*-?\d+,(?=\d+\s*[,}])')


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
    """Places are found in all texts at once: a call for each event takes longer than to look at its bytes."""
    originals = [piece.text for piece in pieces]
    texts = _readable(originals)
    text = _BORDER.join(texts)
    quotes = Quotes(text, _BORDER)
    blank = text.translate(_TO_BLANKS)
    commas = _decimal_commas(blank, quotes)
    words = _not_numbers(blank, quotes)
    places = np.concatenate([_controls(text, quotes), commas, [start for start, _ in words]]).astype(np.int64)
    damaged = np.array([new is not old for new, old in zip(texts, originals, strict=True)])
    damaged[quotes.parts_of(places)] = True
    mended = _with_nulls(_with_points(blank, commas), words).split(_BORDER)
    return [
        Piece(new, changed) if changed else piece
        for piece, new, changed in zip(pieces, mended, (damaged & quotes.even).tolist(), strict=True)
    ]


def depth(text: bytes) -> int:
    """How many more brackets a text opens than it closes."""
    bare = b"".join(hide_escaped(text).split(b'"')[::2])
    return bare.count(b"{") + bare.count(b"[") - bare.count(b"}") - bare.count(b"]")


def _readable(texts: list[bytes]) -> list[bytes]:
    """The texts as UTF-8: themselves where they are."""
    try:
        b",".join(texts).decode()
    except UnicodeError:
        readable = (text.decode("utf-8", "replace").encode() for text in texts)
        return [old if new == old else new for new, old in zip(readable, texts, strict=True)]
    return texts


def _controls(text: bytes, quotes: Quotes) -> Places:
    """Where control characters are that may not be there."""
    codes = np.frombuffer(text, dtype=np.uint8)
    found = np.flatnonzero(codes < ord(" "))
    return found[~np.isin(codes[found], _LINES) | quotes.inside(found)]


def _decimal_commas(text: bytes, quotes: Quotes) -> Places:
    """Where commas are decimal points: in a number that is all that a key has."""
    codes = np.frombuffer(text, dtype=np.uint8)
    digits = (codes - ord("0")) < 10
    commas = np.flatnonzero((codes[1:-1] == ord(",")) & digits[:-2] & digits[2:]) + 1
    found = (_DECIMAL_COMMA.match(text, key_end) for key_end in quotes.ends_before(commas).tolist())
    return np.array([match.end() - 1 for match in found if match], dtype=np.int64)


def _not_numbers(text: bytes, quotes: Quotes) -> list[tuple[int, int]]:
    """From where to where words stand for what is no number."""
    codes = np.frombuffer(text, dtype=np.uint8)
    second, third = codes[1:-1], codes[2:]
    likely = (second == ord("a")) & (third | 32 == ord("n")) | (second == ord("n")) & (third == ord("f"))
    places = np.flatnonzero(likely)
    words: list[tuple[int, int]] = []
    for place in places[~quotes.inside(places)].tolist():
        word = _NOT_A_NUMBER.match(text, place)
        if word and not (words and place < words[-1][1]):
            words.append((place - (text[place - 1 : place] == b"-"), word.end()))
    return words


def _with_points(text: bytes, commas: Places) -> bytes:
    pointed = bytearray(text)
    np.frombuffer(pointed, dtype=np.uint8)[commas] = ord(".")
    return bytes(pointed)


def _with_nulls(text: bytes, words: list[tuple[int, int]]) -> bytes:
    starts, ends = [start for start, _ in words], [end for _, end in words]
    return b"null".join([text[end:start] for end, start in zip([0, *ends], [*starts, len(text)], strict=True)])
