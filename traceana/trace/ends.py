"""Where a trace's events begin and end, and where another trace begins in the same file."""

import re

from traceana.trace.events import place_of

EVENTS_START = re.compile(rb'"traceEvents"\s*:\s*\[')
_EVENTS_KEY = b'"traceEvents"'
# The end of the events is a `]` after an object, with keys, the end of the file or another trace behind it. Lists of
# objects inside args look alike: where all before is good, the decoder tells which one it is.
_EVENTS_END = re.compile(rb'\}(?=\s*(?:,\s*)?\](?:\s*,\s*"[^"]{1,80}"\s*:|\s*(?:\}\s*)?(?:$|[^\s,}\]])))')
_OBJECTS_START = re.compile(rb'\[\s*\{\s*"(?:ph|cat|name|pid|tid|ts)"')
_WHITE = b" \t\r\n"


def end_before(data: bytes, error: Exception) -> int | None:
    """Where the events end, if that is why they could not be decoded: it is what the decoder then stops behind."""
    place = place_of(error)
    if place is None:
        return None
    brace = data.rfind(b"}", 0, max(place - 1, 0))
    # Of a comma too many it tells the place itself, of what follows the array the one behind.
    between = data[brace + 1 : place - 1].strip(_WHITE)
    return brace + 1 if between in (b"", b",", b"]") and _EVENTS_END.match(data, brace) else None


def last_end(data: bytes) -> int | None:
    """Where the events of damaged data may end, the last of several places; None where there is none."""
    ends = [match.end() for match in _EVENTS_END.finditer(data)]
    return ends[-1] if ends else None


def other_start(data: bytes) -> int | None:
    """Where another trace begins, or None: by its key, or by a list of events that follows a bracket's end.

    Each pattern begins with what is searched fast: with brackets' ends, or as alternatives, they would be tried at
    every byte.
    """
    key = EVENTS_START.search(data) if _EVENTS_KEY in data else None
    for start in _OBJECTS_START.finditer(data, 0, key.start() if key else len(data)):
        end = _last_before(data, start.start())
        if data[end : end + 1] in (b"]", b"}"):
            return end
    return key.start() if key else None


def _last_before(data: bytes, place: int) -> int:
    """Where the last byte before `place` is that is no blank, or -1."""
    width = 64
    while not (text := data[max(place - width, 0) : place].rstrip()) and width < place:
        width *= 8
    return max(place - width, 0) + len(text) - 1
