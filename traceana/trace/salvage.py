"""Keeps every whole event of a damaged stretch of a trace, and counts what is lost.

What `mend` knows is mended; an event whose quotes are not escaped (kineto#1459) is lost.
"""

import re
from bisect import bisect_right

import msgspec
from traceana_capture.reading import DECODE_ERRORS

from traceana.trace.events import EVENT_KEYS, PHASE, Chunk, Decode, decode_events, join
from traceana.trace.mend import mend
from traceana.trace.nested import with_nested
from traceana.trace.runs import MOST_PIECES, decode_pieces

# The comma between two events may be lost too. Blanks are taken all at once, by a group in a look ahead (possessive
# quantifiers came with Python 3.11): going back over them would take a hundred times as long.
EVENT_BOUNDARY = re.compile(rb"\}(?=(?=(\s*,?\s*))\1\{(?=(\s*))\2\"(?:ph|cat|name|pid|tid|ts|dur|id|args|s|bp)\"\s*:)")
_BETWEEN = b", \t\r\n"


class Salvage(msgspec.Struct, frozen=True, kw_only=True):
    """What came out of a damaged stretch; `unfinished` are the bytes at its end that are no whole event yet."""

    chunk: Chunk
    skipped: int
    repaired: int
    unfinished: bytes


def last_boundary(data: bytes, searched: int = 0) -> int | None:
    """Index just after the last event that is followed by another one, or None; none is in the `searched` bytes.

    Objects in a list of an event's arguments look like events: what has no phase is taken for one where nothing has.
    """
    first = max(data.rfind(b"}", 0, searched), 0)
    if data.find(b'"', first) < 0:
        return None
    window = 1 << 16
    while True:
        start = max(len(data) - window, first)
        cuts = [match.start() + 1 for match in EVENT_BOUNDARY.finditer(data, start)]
        behind = data.rfind(PHASE, start)
        cut = bisect_right(cuts, behind) if behind >= 0 else 0
        if cut:
            return cuts[cut - 1]
        if start == first:
            return cuts[-1] if cuts else None
        window *= 8


def next_event(data: bytes) -> int | None:
    """Index of the first event that follows another one, or None."""
    found = EVENT_BOUNDARY.search(data) if b'"' in data else None
    return found and data.index(b"{", found.start())


def events_in(data: bytes) -> int:
    """How many events a damaged stretch held, by the keys that each has once; what args held is none."""
    return max(map(data.count, EVENT_KEYS))


def salvage(data: bytes, *, at_end: bool = False, decode: Decode = decode_events) -> Salvage:
    """Decode the events of `data`, repairing what can be repaired; `at_end` says that nothing follows.

    Where more than commas between events is damaged, all texts are mended at once.
    """
    texts = with_nested(_split(data))
    if at_end and texts:
        texts[-1:] = _part_from_stump(texts[-1], decode)
    try:
        return Salvage(chunk=decode(b",".join(texts)), skipped=0, repaired=0, unfinished=b"")
    except DECODE_ERRORS:
        found = decode_pieces(mend(texts), decode, at_end=at_end)
    lost = [texts[place] for place in found.lost]
    return Salvage(
        chunk=join(found.chunks),
        skipped=max(events_in(b",".join(lost)), bool(lost)),
        repaired=found.repaired,
        unfinished=b",".join(texts[found.end :]),
    )


def _part_from_stump(text: bytes, decode: Decode) -> list[bytes]:
    """A last piece that goes on after its event, too briefly to be told for another one, in two."""
    end = len(text)
    for _ in range(MOST_PIECES + 1):
        end = text.rfind(b"}", 0, end)
        if end < 0:
            break
        try:
            events = decode(mend([text[: end + 1]])[0].text).events
        except DECODE_ERRORS:
            continue
        # An object without a phase may be in a list of the event before.
        if any(event.ph for event in events):
            return [part for part in (text[: end + 1], text[end + 1 :].strip(_BETWEEN)) if part]
    return [text]


def _split(data: bytes) -> list[bytes]:
    cuts = [match.start() + 1 for match in EVENT_BOUNDARY.finditer(data)]
    pieces = [data[start:end].strip(_BETWEEN) for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [piece for piece in pieces if piece]
