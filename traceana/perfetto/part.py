"""One rank's part of a merge: its own events on the merged clock, then what the merge adds. One file is open at a time
and a chunk of it in memory.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from traceana.perfetto.call_rows import CallRows
from traceana.perfetto.counter import Counter
from traceana.perfetto.layout import Layout
from traceana.perfetto.numbers import Naming, Numbers
from traceana.perfetto.slices import collective_arrows, collective_slices, counter_events
from traceana.perfetto.whole_events import ARROWS, WholeEvent, decode_whole_events, encode, is_kept, whole
from traceana.trace.file import TraceFile

_ARROW_BITS = 32
_BATCH = 4_096


class RankPart(msgspec.Struct, frozen=True, kw_only=True):
    """All that writing one rank takes. `shift_ns` is added to its file's times; numbers start at `first_number`."""

    path: Path
    python: bool
    position: int
    """Among all ranks of all runs, from 0."""
    first_number: int
    shift_ns: int
    naming: Naming
    layout: Layout
    calls: CallRows
    counter: Counter


def write_part(part: RankPart, file: BinaryIO) -> Tally[str]:
    """Write a rank's events with commas between them; returns how many of each phase were written."""
    numbers = Numbers(part.layout, part.calls, part.first_number)
    added = chain(
        collective_slices(part.calls, numbers),
        collective_arrows(part.calls, numbers),
        counter_events(part.counter, numbers),
    )
    written: Tally[str] = Tally()
    separator = b""
    batches = chain([list(numbers.names(part.layout, part.naming))], _own(part, numbers), _batches(added))
    for events in filter(None, batches):
        file.write(separator + encode(events))
        written.update(event.ph for event in events)
        separator = b",\n"
    return written


def _own(part: RankPart, numbers: Numbers) -> Iterator[list[WholeEvent]]:
    """The file's own events, a chunk at a time."""
    renumber = _Renumber(part, numbers)
    for chunk in TraceFile(part.path, decode=decode_whole_events).chunks():
        pairs = zip(whole(chunk), chunk.starts_ns, strict=True)
        kept = [(event, start) for event, start in pairs if is_kept(event, python=part.python)]
        yield [event for event, start in kept if renumber.apply(event, start)]


class _Renumber:
    """Moves events to their new place, in place: they were decoded for nothing else."""

    def __init__(self, part: RankPart, numbers: Numbers) -> None:
        self.shift = part.shift_ns
        self.places = numbers.places
        self.lane_of = {track.key: track.lane_of for track in part.layout.tracks if track.lane_of}
        self.arrows = {name: frozenset(ids.tolist()) for name, ids in part.layout.arrows.items()}
        self.position = part.position

    def apply(self, event: WholeEvent, start_ns: int) -> bool:
        """Whether the event stays: an arrow's end without its start, and the reverse, goes."""
        if event.ph in ARROWS:
            if event.id not in self.arrows.get(event.name, ()):
                return False
            assert isinstance(event.id, int)
            event.id += self.position << _ARROW_BITS
        elif event.id is not None:
            event.id = f"{self.position}.{event.id}"
        key = (event.pid, event.tid)
        lane_of = self.lane_of.get(key)
        place = self.places[key]
        event.pid, event.tid = place.pid, place.tids[lane_of.get(start_ns, 0) if lane_of else 0]
        event.ts = (start_ns + self.shift) / 1000
        if event.ph == "X":
            event.dur = max(round((event.dur or 0.0) * 1000), 0) / 1000
        return True


def _batches(events: Iterable[WholeEvent]) -> Iterator[list[WholeEvent]]:
    iterator = iter(events)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
