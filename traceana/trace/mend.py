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

from traceana.trace.quotes import Codes, Places, Quotes

# No UTF-8 has it.
_BORDER = b"\xff"
# A few arrays of their size are held; no event is as long.
_BATCH_BYTES = 2 << 20
_NOT_A_NUMBER = re.compile(rb"[NnIi](?:aN|an|nfinity|nf)")
_DECIMAL_COMMA = re.compile(rb'"\s*:\s*-?\d+,(?=\d+\s*[,}])')
# What a bracket opens or closes, by its code.
_STEPS = np.zeros(256, dtype=np.int64)
_STEPS[list(b"{[")] = 1
_STEPS[list(b"}]")] = -1


class Piece(NamedTuple):
    """Text of an event or of a part of one, and whether it was mended."""

    text: bytes
    mended: bool = False
    torn: bool = False
    """Whether a string is open at its end: what follows begins with a quote and a word, so no event has both."""
    depth: int = 0
    """How many more brackets it opens than it closes."""


def mend(texts: Sequence[bytes]) -> list[Piece]:
    """The texts with their known damage mended: those that have none, as no good event has, are as they were.

    Many are taken at once: to begin with one takes longer than what is to be done to it. One that is longer than any
    event is left as it is.
    """
    ends = list(accumulate(map(len, texts)))
    mended: list[Piece] = []
    while len(mended) < len(texts):
        start = len(mended)
        end = bisect_right(ends, (ends[start - 1] if start else 0) + _BATCH_BYTES)
        mended += _mend(texts[start:end]) if end > start else [Piece(texts[start])]
    return mended


def _mend(originals: Sequence[bytes]) -> list[Piece]:
    """Places are found in all texts at once: a call for each event takes longer than to look at its bytes."""
    texts = _readable(originals)
    text = bytearray(_BORDER.join(texts))
    codes = np.frombuffer(text, dtype=np.uint8)
    quotes = Quotes(codes, _BORDER[0])
    controls, commas = _controls(codes, quotes), _decimal_commas(text, codes, quotes)
    marks = _marks(codes, quotes)
    words = _not_numbers(text, codes, marks)
    places = np.concatenate([controls, commas, [start for start, _ in words]]).astype(np.int64)
    damaged = np.array([new is not old for new, old in zip(texts, originals, strict=True)])
    damaged[quotes.parts_of(places)] = True
    damaged &= quotes.even
    codes[controls] = ord(" ")
    codes[commas] = ord(".")
    mended = _with_nulls(bytes(text), words).split(_BORDER) if damaged.any() else originals
    kept = [new if changed else old for new, old, changed in zip(mended, originals, damaged.tolist(), strict=True)]
    return list(map(Piece, kept, damaged.tolist(), (~quotes.even).tolist(), _depths(codes, marks)))


def _readable(texts: Sequence[bytes]) -> Sequence[bytes]:
    """The texts as UTF-8: themselves where they are."""
    try:
        b",".join(texts).decode()
    except UnicodeError:
        return [text if text.isascii() else _replaced(text) for text in texts]
    return texts


def _replaced(text: bytes) -> bytes:
    new = text.decode("utf-8", "replace").encode()
    return text if new == text else new


def _controls(codes: Codes, quotes: Quotes) -> Places:
    """Where control characters are that may not be there; blanks among them are damage in a string alone."""
    blanks = (codes == ord("\n")) | (codes == ord("\r")) | (codes == ord("\t"))
    return np.flatnonzero((codes < ord(" ")) & (quotes.inside | ~blanks))


def _decimal_commas(text: bytearray, codes: Codes, quotes: Quotes) -> Places:
    """Where commas are decimal points: in a number that is all that a key has."""
    digits = (codes - ord("0")) < 10
    commas = np.flatnonzero((codes[1:-1] == ord(",")) & digits[:-2] & digits[2:]) + 1
    found = (_DECIMAL_COMMA.match(text, key_end) for key_end in quotes.ends_before(commas).tolist())
    return np.array([match.end() - 1 for match in found if match], dtype=np.int64)


def _marks(codes: Codes, quotes: Quotes) -> Places:
    """Where letters, brackets and borders are outside of strings."""
    return np.flatnonzero((codes >= ord("A")) & ~quotes.inside)


def _not_numbers(text: bytearray, codes: Codes, marks: Places) -> list[tuple[int, int]]:
    """From where to where words stand for what is no number."""
    first, second = codes[marks[:-1]] | 32, codes[marks[:-1] + 1] | 32
    likely = (first == ord("n")) & (second == ord("a")) | (first == ord("i")) & (second == ord("n"))
    words: list[tuple[int, int]] = []
    for place in marks[:-1][likely].tolist():
        word = _NOT_A_NUMBER.match(text, place)
        if word and not (words and place < words[-1][1]):
            words.append((place - (text[place - 1 : place] == b"-"), word.end()))
    return words


def _depths(codes: Codes, marks: Places) -> list[int]:
    """How many more brackets each part opens than it closes."""
    found = codes[marks]
    opened = np.cumsum(_STEPS[found])
    at_ends = np.append(opened[found == _BORDER[0]], opened[-1] if len(opened) else 0)
    depths: list[int] = np.diff(at_ends, prepend=0).tolist()
    return depths


def _with_nulls(text: bytes, words: list[tuple[int, int]]) -> bytes:
    starts, ends = [start for start, _ in words], [end for _, end in words]
    return b"null".join([text[end:start] for end, start in zip([0, *ends], [*starts, len(text)], strict=True)])
