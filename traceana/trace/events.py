"""Trace events, decoded with types straight from JSON bytes, and their start times in integer nanoseconds.

Format: "Trace Event Format", https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU, as
Kineto's `output_json.cpp` writes it. Read: ph, cat, name, tid, ts, dur, args. Left out: pid (one file is one
process; GPU rows carry their device in args), ids of flows, stack frames, samples.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from math import floor, isnan
from typing import Any, NamedTuple

import msgspec

PHASE = b'"ph"'
"""The key that each event has, and an object in a list of its arguments has not."""
EVENT_KEYS = (PHASE, b'"ts"', b'"cat"')

# Beyond 2**43 µs a double no longer tells neighbouring nanoseconds apart: read such time stamps digit by digit.
_DOUBLE_LIMIT_US = float(1 << 43)
# Half of what int64 holds, in ns: the file's base is added to it.
_LATEST_US = (1 << 62) / 1000
# As msgspec tells which element of a list is at fault.
_NO_TIME = "Expected a time of this age - at `$[%d].ts`"
# Below this many, numpy's calls cost more than they save.
_FEW = 16


class Event(msgspec.Struct, gc=False):
    """One trace event; `ts` and `dur` are µs, `args` stays undecoded until a reader needs it."""

    ph: str = ""
    cat: str = ""
    name: str = ""
    tid: int | float | str | None = None
    ts: float | None = None
    dur: float | None = None
    args: msgspec.Raw = msgspec.Raw(b"{}")


class _Digits(msgspec.Struct, gc=False):
    ts: msgspec.Raw = msgspec.Raw(b"0")


class Chunk(NamedTuple):
    """Events in file order, and for each its start in ns relative to the file's base (0 where `ts` is absent)."""

    events: list[Event]
    starts_ns: list[int]


Decode = Callable[[bytes], Chunk]
"""Bytes of comma-separated events to a chunk; raises one of DECODE_ERRORS."""

_events = msgspec.json.Decoder(list[Event])
_digits = msgspec.json.Decoder(list[_Digits])


def decode_events(data: bytes, decoder: Any = _events) -> Chunk:
    """Decode comma-separated events. Raises one of DECODE_ERRORS where any of them is malformed.

    `decoder` is a msgspec decoder of a list of Event or of a subclass that reads more of each.
    """
    array = b"[" + data + b"]"
    events = _decode(array, decoder)
    times = [event.ts or 0.0 for event in events]
    if times and max(*times, -min(times)) >= _DOUBLE_LIMIT_US:
        return Chunk(events, _exact(times, array))
    return Chunk(events, nanoseconds(times))


def place_of(error: Exception) -> int | None:
    """The place in the data of the fault that `decode_events` raised, where the error tells one."""
    _, told, place = str(error).rpartition("(byte ")
    return int(place.removesuffix(")")) - 1 if told and isinstance(error, msgspec.DecodeError) else None


def _decode(array: bytes, decoder: Any) -> list[Event]:
    try:
        events: list[Event] = decoder.decode(array)
    except msgspec.ValidationError:
        # Some writers put numbers into strings.
        events = _lax(decoder.type).decode(array)
        for number, event in enumerate(events):
            if event.ts is not None and isnan(event.ts):
                raise OverflowError(_NO_TIME % number) from None
    return events


@lru_cache
def _lax(kind: Any) -> Any:
    return msgspec.json.Decoder(kind, strict=False)


def nanoseconds(microseconds: list[float]) -> list[int]:
    """Microseconds below 2**43 to ns. The whole part is split off first, so that the rest rounds to the true digit."""
    if len(microseconds) < _FEW:
        return [floor(time) * 1000 + round((time - floor(time)) * 1000) for time in microseconds]
    # What only looks at the head of a file, as discovery does, needs no numpy, whose import takes longer.
    import numpy as np

    times = np.array(microseconds, dtype=np.float64)
    whole = np.floor(times)
    rounded: list[int] = (whole.astype(np.int64) * 1000 + np.rint((times - whole) * 1000).astype(np.int64)).tolist()
    return rounded


def _exact(times: list[float], array: bytes) -> list[int]:
    """As `nanoseconds`, where some times are beyond the limit: one of a few that are damaged slows no others."""
    is_beyond = [abs(time) >= _DOUBLE_LIMIT_US for time in times]
    for place, time in enumerate(times):
        if abs(time) >= _LATEST_US:
            raise OverflowError(_NO_TIME % place)
    starts = nanoseconds([0.0 if beyond else time for time, beyond in zip(times, is_beyond, strict=True)])
    digits = _digits.decode(array)
    for place, beyond in enumerate(is_beyond):
        if beyond:
            starts[place] = _exact_nanoseconds(digits[place].ts)
    return starts


def _exact_nanoseconds(digits: msgspec.Raw) -> int:
    return int((Decimal(bytes(digits).decode().strip('"')) * 1000).to_integral_value())


def join(chunks: Sequence[Chunk]) -> Chunk:
    """One chunk of many."""
    return Chunk([e for chunk in chunks for e in chunk.events], [s for chunk in chunks for s in chunk.starts_ns])
