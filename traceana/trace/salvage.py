"""Keeps every whole event of a damaged stretch of a trace, and counts what is lost.

Known damage: invalid UTF-8, control characters and `NaN` (all from names and arguments that Kineto copies through), a
comma as decimal point (pytorch#191032), quotes that are not escaped (kineto#1459).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import msgspec
from traceana_capture.reading import DECODE_ERRORS

from traceana.trace.events import Chunk, Decode, decode_events, join

# The comma between two events may be lost too. Blanks are taken all at once, by a group in a look ahead (possessive
# quantifiers came with Python 3.11): going back over them would take a hundred times as long.
EVENT_BOUNDARY = re.compile(rb"\}(?=(?=(\s*,?\s*))\1\{(?=(\s*))\2\"(?:ph|cat|name|pid|tid|ts|dur|id|args|s|bp)\"\s*:)")
# Objects nested in args look like events; an event is glued together from at most this many pieces.
_MOST_PIECES = 8
_EVENT_KEYS = (b'"ph"', b'"ts"', b'"cat"')
# What can be mended shows a few bytes around the place where decoding stopped: behind it only in a word.
_MENDABLE = re.compile(rb"[\x00-\x1f]|NaN|nan|[Ii]nf|\d,\d")
_AROUND = 6
_CONTROL_TO_BLANK = bytes([*b" " * 32, *range(32, 1 << 8)])
_NOT_A_NUMBER = re.compile(rb"(?<=[:,\[])(\s*)(?:-?(?:NaN|nan|Infinity|inf))(?=\s*[,\]}])")
_DECIMAL_COMMA = re.compile(rb'("\s*:\s*-?\d+),(\d+)(?=\s*[,}])')
_BETWEEN = b", \t\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """What came out of a damaged stretch; `unfinished` are the bytes at its end that are no whole event yet."""

    chunk: Chunk
    skipped: int
    repaired: int
    unfinished: bytes


def last_boundary(data: bytes, searched: int = 0) -> int | None:
    """Index just after the last event that is followed by another one, or None; none is in the `searched` bytes."""
    first = max(data.rfind(b"}", 0, searched), 0)
    if data.find(b'"', first) < 0:
        return None
    window = 1 << 16
    while True:
        start = max(len(data) - window, first)
        starts = [match.start() for match in EVENT_BOUNDARY.finditer(data, start)]
        if starts:
            return starts[-1] + 1
        if start == first:
            return None
        window *= 8


def next_event(data: bytes) -> int | None:
    """Index of the first event that follows another one, or None."""
    found = EVENT_BOUNDARY.search(data) if b'"' in data else None
    return found and data.index(b"{", found.start())


def events_in(data: bytes) -> int:
    """How many events a damaged stretch held, by the keys that each has once; what args held is none."""
    return max(map(data.count, _EVENT_KEYS))


def salvage(data: bytes, *, at_end: bool = False, decode: Decode = decode_events) -> Salvage:
    """Decode the events of `data`, repairing what can be repaired; `at_end` says that nothing follows.

    Runs of good events are decoded together; a run that fails is halved down to the event that is damaged.
    """
    pieces = _split(data)
    if at_end and pieces:
        pieces[-1:] = _part_from_stump(pieces[-1], decode)
    chunks: list[Chunk] = []
    lost: list[bytes] = []
    repaired, position, good, run = 0, 0, 0, 1
    while position < len(pieces):
        members = pieces[position : position + max(run, _MOST_PIECES)]
        found = _run(members[:run], decode) if run > 1 else _glued(members, decode)
        if isinstance(found.events, Chunk):
            chunks.append(found.events)
            repaired += found.mended
            position += found.pieces
            good = 0 if found.mended else good + found.pieces
            run = max(good, 1)
        elif run > 1:
            run //= 2
        elif position == len(pieces) - 1 or (not at_end and _may_go_on(found, len(pieces) - position)):
            break
        else:
            lost.append(pieces[position])
            position += 1
            good = 0
    skipped = max(events_in(b"".join(lost)), bool(lost))
    return Salvage(chunk=join(chunks), skipped=skipped, repaired=repaired, unfinished=b",".join(pieces[position:]))


class _Fault(Enum):
    """Why a text gives no events: it goes on, something in it is of a known kind, or it is beyond repair."""

    UNFINISHED = 1
    MENDABLE = 2
    HOPELESS = 3


class _Found(NamedTuple):
    """The events that so many pieces make, or why they make none; whether they needed mending."""

    events: Chunk | _Fault
    pieces: int
    mended: bool = False


def _run(pieces: Sequence[bytes], decode: Decode) -> _Found:
    """The events of pieces that are good as they are."""
    return _Found(_decoded(b",".join(pieces), decode), len(pieces))


def _glued(pieces: Sequence[bytes], decode: Decode) -> _Found:
    """The event that the first pieces make, of as few as will do."""
    for count in range(1, len(pieces) + 1):
        text = b",".join(pieces[:count])
        events = _decoded(text, decode)
        mended = events is _Fault.MENDABLE
        if mended:
            events = _decoded(_mend(text), decode)
        if events is not _Fault.UNFINISHED:
            break
    return _Found(events, count, mended)


def _may_go_on(found: _Found, left: int) -> bool:
    """Whether what comes behind the pieces that are left may complete the event."""
    return found.events is _Fault.UNFINISHED and found.pieces == left


def _part_from_stump(piece: bytes, decode: Decode) -> list[bytes]:
    """A last piece that goes on after its event, too briefly to be told for another one, in two."""
    end = len(piece)
    for _ in range(_MOST_PIECES + 1):
        end = piece.rfind(b"}", 0, end)
        if end < 0:
            break
        if isinstance(_glued([piece[: end + 1]], decode).events, Chunk):
            return [part for part in (piece[: end + 1], piece[end + 1 :].strip(_BETWEEN)) if part]
    return [piece]


def _split(data: bytes) -> list[bytes]:
    cuts = [match.start() + 1 for match in EVENT_BOUNDARY.finditer(data)]
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [piece for piece in (piece.strip(_BETWEEN) for piece in pieces) if piece]


def _decoded(text: bytes, decode: Decode) -> Chunk | _Fault:
    try:
        return decode(text)
    except UnicodeError:
        return _Fault.MENDABLE
    except msgspec.ValidationError:
        return _Fault.HOPELESS
    except msgspec.DecodeError as error:
        return _fault(text, str(error))
    except DECODE_ERRORS:
        return _Fault.HOPELESS


def _fault(text: bytes, error: str) -> _Fault:
    """By the place of the fault, which msgspec tells in the array that decoding makes of the text."""
    _, known, place = error.rpartition("(byte ")
    at = int(place.removesuffix(")")) - 1 if known else len(text)
    if at >= len(text):
        return _Fault.UNFINISHED
    return _Fault.MENDABLE if _MENDABLE.search(text, max(at - _AROUND, 0), at + _AROUND) else _Fault.HOPELESS


def _mend(piece: bytes) -> bytes:
    piece = piece if piece.isascii() else piece.decode("utf-8", "replace").encode()
    piece = _NOT_A_NUMBER.sub(rb"\1null", piece.translate(_CONTROL_TO_BLANK))
    return _DECIMAL_COMMA.sub(rb"\1.\2", piece)
