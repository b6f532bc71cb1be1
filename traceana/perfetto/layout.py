"""Where the events of one rank's file go: its processes, its tracks and their lanes, and which arrows are whole."""

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from traceana_capture.reading import DECODE_ERRORS

from traceana.perfetto.whole_events import GPU_SPANS, Identity, WholeEvent, decode_whole_events, is_kept, whole
from traceana.trace.columns import Bools, Ints
from traceana.trace.file import TraceFile
from traceana.trace.lanes import lanes

TrackKey = tuple[Identity, Identity]


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """A thread or stream; `lane_of` maps the start of slices that are not on lane 0 to their lane."""

    key: TrackKey
    name: str
    lanes: int
    lane_of: Mapping[int, int]


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Times are ns relative to the file's base. Tracks are in the order in which they are to be shown."""

    start_ns: int
    end_ns: int
    devices: frozenset[Identity]
    """Processes that stand for a GPU."""
    main: Identity
    """The process with the most events, a GPU's if there is one."""
    tracks: tuple[Track, ...]
    arrows: Mapping[str, Ints]
    """By name, the numbers of arrows that have both ends."""


class _Slices(msgspec.Struct, frozen=True, kw_only=True):
    """The slices of one track."""

    start_ns: Ints
    end_ns: Ints
    lane: Ints

    def enclose(self, at_ns: Ints) -> Bools:
        """Which times begin a slice or lie inside one on lane 0, where an arrow's end finds it."""
        first = np.sort(self.start_ns[self.lane == 0])
        reach = np.maximum.accumulate(self.end_ns[self.lane == 0][np.argsort(self.start_ns[self.lane == 0])])
        before = np.searchsorted(first, at_ns, side="right") - 1
        inside = at_ns < np.append(reach, np.iinfo(np.int64).min)[before]
        return np.asarray(np.isin(at_ns, self.start_ns) | inside)


class _Survey:
    """Collects what a layout is made of; `add` runs once an event."""

    def __init__(self) -> None:
        self.slices: dict[TrackKey, array[int]] = defaultdict(lambda: array("q"))
        self.events: Counter[Identity] = Counter()
        self.devices: set[Identity] = set()
        self.names: dict[TrackKey, str] = {}
        self.ends: dict[str, dict[tuple[str, TrackKey], array[int]]] = defaultdict(dict)
        self.first, self.last = 1 << 62, -(1 << 62)

    def add(self, event: WholeEvent, start: int) -> None:
        key, end = (event.pid, event.tid), start
        self.events[event.pid] += 1
        track = self.slices[key]
        if event.ph == "X":
            end = start + max(round((event.dur or 0.0) * 1000), 0)
            track.extend((start, end))
            if event.cat in GPU_SPANS:
                self.devices.add(event.pid)
        elif event.ph in ("s", "f") and isinstance(event.id, int):
            self.ends[event.name].setdefault((event.ph, key), array("q")).extend((event.id, start))
        self.first, self.last = min(self.first, start), max(self.last, end)

    def name(self, event: WholeEvent) -> None:
        """Keep a thread's name; of several the last counts, as everywhere."""
        if event.name == "thread_name":
            self.names[event.pid, event.tid] = _thread_name(event)

    def finish(self) -> Layout:
        candidates = self.devices or set(self.events)
        slices = {key: _slices(rows) for key, rows in self.slices.items()}
        return Layout(
            start_ns=min(self.first, self.last),
            end_ns=self.last,
            devices=frozenset(self.devices),
            main=max(candidates, key=lambda pid: self.events[pid], default=None),
            tracks=tuple(self._track(key, slices[key]) for key in sorted(slices, key=_natural)),
            arrows={name: _whole_arrows(ends, slices) for name, ends in self.ends.items()},
        )

    def _track(self, key: TrackKey, slices: _Slices) -> Track:
        other = np.flatnonzero(slices.lane)
        return Track(
            key=key,
            name=self.names.get(key) or self._default_name(key),
            lanes=int(slices.lane.max(initial=0)) + 1,
            lane_of=dict(zip(slices.start_ns[other].tolist(), slices.lane[other].tolist(), strict=True)),
        )

    def _default_name(self, key: TrackKey) -> str:
        pid, tid = key
        if isinstance(pid, int | float) and pid < 0:
            return "profiler"
        return f"{'stream' if pid in self.devices else 'thread'} {tid}"


def _slices(rows: "array[int]") -> _Slices:
    start, end = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    return _Slices(start_ns=start, end_ns=end, lane=lanes(start, end))


def _whole_arrows(ends: "dict[tuple[str, TrackKey], array[int]]", slices: Mapping[TrackKey, _Slices]) -> Ints:
    """Numbers of arrows with a start and an end of which each lies on a slice: others Perfetto counts as errors."""
    on_slices: dict[str, list[Ints]] = {"s": [], "f": []}
    loose: list[Ints] = [np.zeros(0, dtype=np.int64)]
    for (phase, key), rows in ends.items():
        number, at_ns = np.array(rows, dtype=np.int64).reshape(-1, 2).T
        enclosed = slices[key].enclose(at_ns)
        on_slices[phase].append(number[enclosed])
        loose.append(number[~enclosed])
    starts, finishes = (np.concatenate([loose[0], *found]) for found in on_slices.values())
    return np.setdiff1d(np.intersect1d(starts, finishes), np.concatenate(loose))


def survey(path: Path, *, python: bool) -> Layout:
    """Read a file once for its layout. Raises TraceanaError where nothing can be read of it."""
    found = _Survey()
    for chunk in TraceFile(path, decode=decode_whole_events).chunks():
        for event, start_ns in zip(whole(chunk), chunk.starts_ns, strict=True):
            if is_kept(event, python=python):
                found.add(event, start_ns)
            elif event.ph == "M":
                found.name(event)
    return found.finish()


def _thread_name(event: WholeEvent) -> str:
    try:
        return msgspec.json.decode(event.args, type=dict[str, str]).get("name", "").strip()
    except DECODE_ERRORS:
        return ""


def _natural(key: TrackKey) -> list[tuple[int, float, str]]:
    """Numbers by value, then words with the numbers in them by value."""
    parts = [part for value in key for part in re.split(r"(\d+)", str(value))]
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
