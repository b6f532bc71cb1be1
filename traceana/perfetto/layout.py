"""Where the events of one rank's file go: its processes, its tracks and their lanes, and which arrows are whole."""

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from traceana.perfetto.events import GPU_SPANS, Identity, WholeEvent, decode_whole_events, is_kept, whole
from traceana.perfetto.lanes import lanes
from traceana.trace.columns import Ints
from traceana.trace.file import TraceFile

TrackKey = tuple[Identity, Identity]


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A thread or stream; `lane_of` maps the start of slices that are not on lane 0 to their lane."""

    key: TrackKey
    name: str
    lanes: int
    lane_of: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
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


class _Survey:
    """Collects what a layout is made of; `add` runs once an event."""

    def __init__(self) -> None:
        self.slices: dict[TrackKey, array[int]] = defaultdict(lambda: array("q"))
        self.events: Counter[Identity] = Counter()
        self.devices: set[Identity] = set()
        self.names: dict[TrackKey, str] = {}
        self.ends: dict[tuple[str, str], array[int]] = defaultdict(lambda: array("q"))
        self.first, self.last = 1 << 62, -(1 << 62)

    def add(self, event: WholeEvent, start: int) -> None:
        end = start
        self.events[event.pid] += 1
        track = self.slices[event.pid, event.tid]
        if event.ph == "X":
            end = start + max(round((event.dur or 0.0) * 1000), 0)
            track.extend((start, end))
            if event.cat in GPU_SPANS:
                self.devices.add(event.pid)
        elif event.ph in ("s", "f") and isinstance(event.id, int):
            self.ends[event.name, event.ph].append(event.id)
        self.first, self.last = min(self.first, start), max(self.last, end)

    def name(self, event: WholeEvent) -> None:
        """Keep a thread's name; of several the last counts, as everywhere."""
        if event.name == "thread_name":
            self.names[event.pid, event.tid] = _thread_name(event)

    def finish(self) -> Layout:
        candidates = self.devices or set(self.events)
        return Layout(
            start_ns=min(self.first, self.last),
            end_ns=self.last,
            devices=frozenset(self.devices),
            main=max(candidates, key=lambda pid: self.events[pid], default=None),
            tracks=tuple(self._track(key) for key in sorted(self.slices, key=_natural)),
            arrows={name: self._whole_arrows(name) for name, _ in self.ends},
        )

    def _track(self, key: TrackKey) -> Track:
        start, end = np.array(self.slices[key], dtype=np.int64).reshape(-1, 2).T
        lane = lanes(start, end)
        other = np.flatnonzero(lane)
        return Track(
            key=key,
            name=self.names.get(key) or self._default_name(key),
            lanes=int(lane.max(initial=0)) + 1,
            lane_of=dict(zip(start[other].tolist(), lane[other].tolist(), strict=True)),
        )

    def _default_name(self, key: TrackKey) -> str:
        pid, tid = key
        if isinstance(pid, int | float) and pid < 0:
            return "profiler"
        return f"{'stream' if pid in self.devices else 'thread'} {tid}"

    def _whole_arrows(self, name: str) -> Ints:
        starts, ends = (np.array(self.ends[name, phase], dtype=np.int64) for phase in "sf")
        return np.intersect1d(starts, ends)


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
    except msgspec.MsgspecError:
        return ""


def _natural(key: TrackKey) -> list[tuple[int, float, str]]:
    """Numbers by value, then words with the numbers in them by value."""
    parts = [part for value in key for part in re.split(r"(\d+)", str(value))]
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
