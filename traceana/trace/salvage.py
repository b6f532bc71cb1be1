"""Keeps every whole event of a damaged stretch of a trace, and counts what is lost.

What `mend` knows is mended; an event whose quotes are not escaped (kineto#1459) is lost.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from enum import Enum
from itertools import accumulate
from typing import NamedTuple

import msgspec
from traceana_capture.reading import DECODE_ERRORS

from traceana.trace.events import Chunk, Decode, decode_events, join
from traceana.trace.mend import Piece, depth, mend
from traceana.trace.quotes import hide_escaped

# The comma between two events may be lost too. Blanks are taken all at once, by a group in a look ahead (possessive
# quantifiers came with Python 3.11): going back over them would take a hundred times as long.
EVENT_BOUNDARY = re.compile(rb"\}(?=(?=(\s*,?\s*))\1\{(?=(\s*))\2\"(?:ph|cat|name|pid|tid|ts|dur|id|args|s|bp)\"\s*:)")
# Objects nested in args look like events; an event is glued together from at most this many pieces.
_MOST_PIECES = 8
_EVENT_KEYS = (b'"ph"', b'"ts"', b'"cat"')
_BETWEEN = b", \t\r\n"


class Salvage(msgspec.Struct, frozen=True, kw_only=True):
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

    Runs of good events are decoded together; one that fails is taken up to the damaged event. Where the first is found
    whose text is damaged, all are mended at once.
    """
    pieces = _split(data)
    if at_end and pieces:
        pieces[-1:] = _part_from_stump(pieces[-1], decode)
    chunks: list[Chunk] = []
    lost: list[bytes] = []
    repaired, position, good, run = 0, 0, 0, 1
    originals = pieces
    while position < len(pieces):
        if pieces is not originals and position < len(pieces) - 1 and _is_torn(pieces[position]):
            lost.append(originals[position].text)
            position += 1
            good, run = 0, 1
            continue
        members = pieces[position : position + max(run, _MOST_PIECES)]
        found = _decoded(members[:run], decode) if run > 1 else _glued(members, decode)
        if isinstance(found.events, Chunk):
            chunks.append(found.events)
            repaired += _mended_events(found)
            position += len(found.pieces)
            good += len(found.pieces)
            run = good
        elif found.events is _Fault.DAMAGED and pieces is originals:
            pieces = mend(originals)
        elif run > 1 and not found.is_first:
            run = found.good or 1
        elif position == len(pieces) - 1 or (not at_end and _may_go_on(found, len(pieces) - position)):
            break
        else:
            lost.append(originals[position].text)
            position += 1
            good, run = 0, 1
    skipped = max(events_in(b"".join(lost)), bool(lost))
    unfinished = _joined(originals[position:])
    return Salvage(chunk=join(chunks), skipped=skipped, repaired=repaired, unfinished=unfinished)


class _Fault(Enum):
    """Why a text gives no events: it goes on, it is no JSON, which may be mended, or it is no event."""

    UNFINISHED = 1
    DAMAGED = 2
    HOPELESS = 3


class _Found(NamedTuple):
    """The events that pieces make, or why they make none and how many before the fault are good, if that is known.

    `is_first` says that the first one cannot be part of any event.
    """

    events: Chunk | _Fault
    pieces: Sequence[Piece]
    good: int = 0
    is_first: bool = False


def _is_torn(piece: Piece) -> bool:
    """Whether a string is open at its end: what follows begins with a quote and a word, so no event has both."""
    text = piece.text
    return (hide_escaped(text) if b"\\" in text else text).count(b'"') % 2 == 1


def _glued(pieces: Sequence[Piece], decode: Decode) -> _Found:
    """The event that the first pieces make, of as few as will do."""
    for count in range(1, len(pieces) + 1):
        found = _decoded(pieces[:count], decode)
        if found.events is not _Fault.UNFINISHED:
            break
    return found


def _mended_events(found: _Found) -> int:
    """How many events needed mending; several pieces may make one."""
    if len(found.pieces) == 1 or not any(piece.mended for piece in found.pieces):
        return int(found.pieces[0].mended)
    if isinstance(found.events, Chunk) and len(found.events.events) == len(found.pieces):
        return sum(piece.mended for piece in found.pieces)
    before = [0, *accumulate(depth(piece.text) for piece in found.pieces)]
    events = accumulate(opened <= 0 for opened in before[:-1])
    return len({event for event, piece in zip(events, found.pieces, strict=True) if piece.mended})


def _may_go_on(found: _Found, left: int) -> bool:
    """Whether what comes behind the pieces that are left may complete the event."""
    return found.events is _Fault.UNFINISHED and len(found.pieces) == left


def _part_from_stump(piece: Piece, decode: Decode) -> list[Piece]:
    """A last piece that goes on after its event, too briefly to be told for another one, in two."""
    text = piece.text
    end = len(text)
    for _ in range(_MOST_PIECES + 1):
        end = text.rfind(b"}", 0, end)
        if end < 0:
            break
        events = _decoded(mend([Piece(text[: end + 1])]), decode).events
        # An object without a phase may be in a list of the event before.
        if isinstance(events, Chunk) and any(event.ph for event in events.events):
            return [Piece(part) for part in (text[: end + 1], text[end + 1 :].strip(_BETWEEN)) if part]
    return [piece]


def _split(data: bytes) -> list[Piece]:
    cuts = [match.start() + 1 for match in EVENT_BOUNDARY.finditer(data)]
    pieces = [data[start:end].strip(_BETWEEN) for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [Piece(piece) for piece in pieces if piece]


def _joined(pieces: Iterable[Piece]) -> bytes:
    return b",".join([piece.text for piece in pieces])


def _decoded(pieces: Sequence[Piece], decode: Decode) -> _Found:
    text = _joined(pieces)
    try:
        return _Found(decode(text), pieces)
    except UnicodeError:
        return _Found(_Fault.DAMAGED, pieces)
    except msgspec.ValidationError:
        return _Found(_Fault.HOPELESS, pieces)
    except msgspec.DecodeError as error:
        return _at_fault(pieces, text, str(error))
    except DECODE_ERRORS:
        return _Found(_Fault.HOPELESS, pieces)


def _at_fault(pieces: Sequence[Piece], text: bytes, error: str) -> _Found:
    """By the place of the fault, which msgspec tells in the array that decoding makes of the text."""
    _, known, place = error.rpartition("(byte ")
    at = int(place.removesuffix(")")) - 1 if known else len(text)
    if at >= len(text):
        return _Found(_Fault.UNFINISHED, pieces, good=len(pieces) - 1)
    ends = list(accumulate(len(piece.text) + 1 for piece in pieces))
    return _Found(_Fault.DAMAGED, pieces, good=bisect_right(ends, at), is_first=at < len(pieces[0].text))
