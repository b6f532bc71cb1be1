"""Trace events with everything that a merge passes on; what is left out of it, and how events become bytes again."""

from functools import partial
from typing import cast

import msgspec

from traceana.trace.events import Chunk, Event, decode_events

Identity = int | float | str | None
GPU_SPANS = ("kernel", "gpu_memcpy", "gpu_memset", "gpu_user_annotation")
ARROWS = "stf"
"""Phases of the events that make an arrow: its start, steps and end."""

_LONGEST_US = float(1 << 43)
_LARGEST_ARROW = 1 << 32


class WholeEvent(Event, gc=False, omit_defaults=True):
    """All of an event that Perfetto reads; fields that are absent stay absent when it is written."""

    pid: Identity = None
    id: int | float | str | None = None
    bp: str | None = None
    s: str | None = None
    cname: str | None = None


_decoder = msgspec.json.Decoder(list[WholeEvent])
_encoder = msgspec.json.Encoder()
decode_whole_events = partial(decode_events, decoder=_decoder)


def whole(chunk: Chunk) -> list[WholeEvent]:
    """The events of a chunk that `decode_whole_events` made."""
    return cast("list[WholeEvent]", chunk.events)


def is_kept(event: WholeEvent, *, python: bool) -> bool:
    """Whether a merge takes the event.

    Left out are Python frames unless `python`, metadata (a merge names its tracks itself), the profiler's own marks
    (their process is a word, not a number), and events without a time or with one that no run can have.
    """
    if event.ph == "M" or event.ts is None or isinstance(event.pid, str):
        return False
    if event.cat == "python_function" and not python:
        return False
    return abs(event.dur or 0.0) <= _LONGEST_US and (event.ph not in ARROWS or _is_arrow_number(event.id))


def encode(events: list[WholeEvent]) -> bytes:
    """Events with commas between them, in UTF-8 whatever a damaged file put into an argument."""
    return _encoder.encode(events)[1:-1].decode("utf-8", "replace").encode()


def arguments(values: dict[str, object]) -> msgspec.Raw:
    """Arguments of an event that a merge writes itself."""
    return msgspec.Raw(_encoder.encode(values))


def _is_arrow_number(value: object) -> bool:
    # Kineto numbers arrows by correlation, 32 bits; a merge adds the rank above them.
    return isinstance(value, int) and 0 <= value < _LARGEST_ARROW
