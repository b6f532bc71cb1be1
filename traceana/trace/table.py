"""Complete events ("ph": "X") of a stretch of a trace as columns, from whichever decoder could read it.

`scanned` reads what is as Kineto writes it, by compiled code, where that was built; `tabulated` takes events that
`events` decoded. Of the same text both make the same table, but for arguments, which the first has as numbers already.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from traceana_capture.reading import DECODE_ERRORS

from traceana.trace.events import Chunk

try:
    from traceana.trace import scan
except ImportError:
    # Built where there is no compiler.
    scan = None  # type: ignore[assignment]

COMPILED = scan is not None

_LONGEST_US = float(1 << 43)
_names = msgspec.json.Decoder(list[str])
_threads = msgspec.json.Decoder(list[int | float | str | None])
_shapes = msgspec.json.Decoder(list[msgspec.Raw])

_Ints = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]
Value = TypeVar("Value", bound=Hashable)
Thread = int | float | str | None
_NO_NAME, _NO_THREAD = "", None


class Table(NamedTuple):
    """Columns of shape (complete events,); `events` counts those of other phases too.

    Times are in ns, from the file's base. What is not `good` has no start, or a length of months. `category` and
    `name` index `names`, `thread` `threads`; -1, which is the last one, stands for none.
    """

    events: int
    start: _Ints
    duration: _Ints
    good: _Bools
    category: _Ints
    name: _Ints
    names: Sequence[str]
    thread: _Ints
    threads: Sequence[Thread]
    arguments: Callable[[int], msgspec.Raw]
    """Of the event in a row."""
    whole: _Bools
    """Whether an event's arguments must be decoded; of others all that matters is in `numbers`."""
    numbers: Mapping[str, _Ints]
    """Numbers in arguments, by the field of Arguments; grids and blocks index `shapes`."""
    shapes: Sequence[bytes]
    """Grids and blocks as they are written; -1, which is the last one, stands for none."""


def scanned(data: bytes) -> Table | None:
    """A table of comma-separated events, or None where they are to be decoded in the general way."""
    found = scan.scan(data) if scan else None
    if found is None:
        return None
    events, rows, names, threads, shapes = found
    try:
        known, ids, texts = _names.decode(names), _threads.decode(threads), _shapes.decode(shapes)
    except DECODE_ERRORS:
        return None
    fields = scan.COLUMNS.split()
    columns = dict(zip(fields, np.frombuffer(rows, dtype=np.int64).reshape(-1, len(fields)).T, strict=True))
    starts, ends = columns["args_start"], columns["args_end"]
    return Table(
        events=events,
        start=columns["start"],
        duration=columns["duration"],
        good=columns["timed"] != 0,
        category=columns["category"],
        name=columns["name"],
        names=[*known, _NO_NAME],
        thread=columns["thread"],
        threads=[*ids, _NO_THREAD],
        arguments=lambda row: msgspec.Raw(data[starts[row] : ends[row]] or b"{}"),
        whole=columns["whole"] != 0,
        numbers=columns,
        shapes=[*map(bytes, texts), b""],
    )


def tabulated(chunk: Chunk) -> Table:
    """A table of decoded events."""
    places = [place for place, event in enumerate(chunk.events) if event.ph == "X"]
    events = [chunk.events[place] for place in places]
    us = np.array([event.dur or 0.0 for event in events], dtype=np.float64)
    brief = np.abs(us) <= _LONGEST_US
    codes: dict[str, int] = {}
    category = _coded(codes, [event.cat for event in events])
    name = _coded(codes, [event.name for event in events])
    ids: dict[Thread, int] = {}
    thread = _coded(ids, [event.tid for event in events])
    arguments = [event.args for event in events]
    return Table(
        events=len(chunk.events),
        start=np.array(chunk.starts_ns, dtype=np.int64)[places],
        duration=np.rint(np.where(brief, us, 0.0) * 1000).astype(np.int64),
        good=brief & np.array([event.ts is not None for event in events], dtype=np.bool_),
        category=category,
        name=name,
        names=[*codes, _NO_NAME],
        thread=thread,
        threads=[*ids, _NO_THREAD],
        arguments=arguments.__getitem__,
        whole=np.ones(len(events), dtype=np.bool_),
        numbers={},
        shapes=[b""],
    )


def _coded(codes: dict[Value, int], values: Iterable[Value]) -> _Ints:
    return np.array([codes.setdefault(value, len(codes)) for value in values], dtype=np.int64)


def renumbered(
    column: _Ints,
    values: Sequence[Value],
    numbers: dict[Value, int],
    told: Callable[[Value], Value] = lambda value: value,
) -> _Ints:
    """What a column's codes stand for, or is `told` of it, under a numbering that grows in order of appearance."""
    first = np.full(len(values), -1, dtype=np.int64)
    # Of several rows the last one that is assigned counts, which is the first one of the column.
    first[column[::-1]] = np.arange(len(column))[::-1]
    used = np.flatnonzero(first >= 0)
    used = used[np.argsort(first[used])]
    table = np.zeros(len(values), dtype=np.int64)
    table[used] = [numbers.setdefault(told(values[code]), len(numbers)) for code in used.tolist()]
    return table[column]
