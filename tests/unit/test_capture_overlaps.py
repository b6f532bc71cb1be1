"""What Perfetto would drop of a captured trace is moved to a track of its own, and nothing else is."""

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from traceana_capture.launcher.overlaps import separate

TRACES = Path(__file__).parents[1] / "traces"


def kernel(name: str, start: float, duration: float, **more: Any) -> dict[str, Any]:
    return {"ph": "X", "cat": "kernel", "name": name, "pid": 0, "tid": 7, "ts": start, "dur": duration, **more}


def tid_of(events: list[dict[str, Any]]) -> dict[str, int]:
    return {event["name"]: event["tid"] for event in events if event["ph"] == "X"}


def test_a_kernel_that_crosses_another_moves_with_its_arrow() -> None:
    end = {"ph": "f", "name": "ac2g", "id": 1, "pid": 0, "tid": 7, "ts": 15.0}
    name = {"ph": "M", "name": "thread_name", "pid": 0, "tid": 7, "args": {"name": "stream 7 "}}
    events = [kernel("a", 10.0, 10.0), kernel("b", 15.0, 10.0), kernel("c", 30.0, 1.0), end, name]
    separate(events)
    assert tid_of(events) == {"a": 7, "b": 8, "c": 7}
    assert end["tid"] == 8
    assert events[-1] == {"ph": "M", "name": "thread_name", "pid": 0, "tid": 8, "args": {"name": "stream 7 (2)"}}


def test_threads_stay_as_they_are() -> None:
    events = [kernel("a", 10.0, 10.0, cat="cpu_op"), kernel("b", 15.0, 10.0, cat="cpu_op")]
    before = copy.deepcopy(events)
    separate(events)
    assert events == before


@pytest.mark.parametrize("path", sorted((TRACES / "h200").glob("*/rank0.json.gz")), ids=lambda path: path.parent.name)
def test_only_track_numbers_of_real_traces_change_and_a_second_time_nothing(path: Path) -> None:
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    before = copy.deepcopy(events)
    separate(events)
    assert [{**event, "tid": None} for event in events[: len(before)]] == [{**event, "tid": None} for event in before]
    once = copy.deepcopy(events)
    separate(events)
    assert events == once
    # Replays overlap on their stream, and in training-2r a buffer that CUPTI asked for overlaps other overhead.
    assert (events != before) == path.parent.name.endswith(("-graph", "training-2r"))
