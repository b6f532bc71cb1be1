"""Gives slices that cross another one on their track a track of their own: Perfetto before v57 drops them unseen.

Kernels of a CUDA graph's branches and the profiler's own overhead cross so. Slices of threads stay where they are, for
a thread tells which call launched what.
"""

from collections import defaultdict
from typing import Any

import numpy as np

from traceana.trace.lanes import lanes

_MOVABLE = {"kernel", "gpu_memcpy", "gpu_memset", "gpu_user_annotation", "overhead"}
_Track = tuple[Any, Any]


def separate(events: list[dict[str, Any]]) -> None:
    """Change `tid` of such slices and of the arrows' ends at their start, and name the new tracks."""
    tracks: dict[_Track, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event.get("ph") == "X" and event.get("cat") in _MOVABLE:
            tracks[event["pid"], event["tid"]].append(event)
    fresh = 1 + max((event["tid"] for event in events if isinstance(event.get("tid"), int)), default=0)
    moved: dict[tuple[_Track, float], int] = {}
    names: list[dict[str, Any]] = []
    for (pid, tid), slices in tracks.items():
        lane = _lanes(slices)
        for number in range(1, max(lane) + 1):
            names.append(_name(events, pid, tid, fresh, number))
            for event, its in zip(slices, lane, strict=True):
                if its == number:
                    moved[(pid, tid), event["ts"]] = event["tid"] = fresh
            fresh += 1
    if moved:
        _move_arrows(events, moved)
        events.extend(names)


def _lanes(slices: list[dict[str, Any]]) -> list[int]:
    start = np.array([round(event["ts"] * 1000) for event in slices], dtype=np.int64)
    length = np.array([round(event.get("dur", 0) * 1000) for event in slices], dtype=np.int64)
    result: list[int] = lanes(start, start + length).tolist()
    return result


def _move_arrows(events: list[dict[str, Any]], moved: dict[tuple[_Track, float], int]) -> None:
    for event in events:
        if event.get("ph") in ("s", "f"):
            event["tid"] = moved.get(((event["pid"], event["tid"]), event["ts"]), event["tid"])


def _name(events: list[dict[str, Any]], pid: Any, tid: Any, fresh: int, number: int) -> dict[str, Any]:
    """The new track is called for the one that it comes from: "stream 7 (2)"."""
    named = [
        event["args"]["name"].strip()
        for event in events
        if event.get("name") == "thread_name" and (event.get("pid"), event.get("tid")) == (pid, tid)
    ]
    name = named[-1] if named else f"track {tid}"
    return {"ph": "M", "name": "thread_name", "pid": pid, "tid": fresh, "args": {"name": f"{name} ({number + 1})"}}
