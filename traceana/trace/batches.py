"""Complete events sorted by their category, so that a reader handles many of one kind at once."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from traceana.trace.columns import Ints
from traceana.trace.events import Chunk, Event

_LONGEST_US = float(1 << 43)


class Batch(NamedTuple):
    """Events of one category in file order, with start and duration in ns, from the file's base; shape (events,)."""

    events: list[Event]
    start: Ints
    duration: Ints
    left_out: int
    """How many others had no start, or a length of months."""

    def of(self, places: list[int]) -> "Batch":
        """Some of the events."""
        return Batch([self.events[place] for place in places], self.start[places], self.duration[places], 0)


def batches(chunk: Chunk) -> dict[str, Batch]:
    """Complete events ("ph": "X") by category."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, event in enumerate(chunk.events):
        if event.ph == "X":
            places[event.cat].append(place)
    starts = np.array(chunk.starts_ns, dtype=np.int64)
    return {category: _batch(chunk.events, starts, of) for category, of in places.items()}


def _batch(events: list[Event], starts: Ints, places: list[int]) -> Batch:
    mine = [events[place] for place in places]
    durations = np.array([event.dur or 0.0 for event in mine])
    good = np.abs(durations) <= _LONGEST_US
    good &= [event.ts is not None for event in mine]
    if not good.all():
        kept = np.flatnonzero(good)
        mine, durations = [mine[place] for place in kept], durations[kept]
        places = [places[place] for place in kept]
    return Batch(mine, starts[places], np.rint(durations * 1000).astype(np.int64), len(good) - len(mine))
