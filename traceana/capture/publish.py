"""Turns a worker's plain JSON into `rank<N>.json.gz`: annotated, compressed, checked, published by rename."""

import bisect
import gzip
from pathlib import Path
from typing import Any

import msgspec

SPAN = "traceana::"


def annotate(trace: dict[str, Any], records: list[dict[str, Any]]) -> None:
    """Put each record's keys onto the gloo span that torch wrote for the call, else onto our own span, renamed."""
    gloo = sorted((e for e in trace["traceEvents"] if str(e.get("name")).startswith("gloo:")), key=lambda e: e["ts"])
    starts = [event["ts"] for event in gloo]
    drop: set[int] = set()
    for event in trace["traceEvents"]:
        if not str(event.get("name")).startswith(SPAN):
            continue
        record = records[int(event["name"].removeprefix(SPAN))]
        position = bisect.bisect_left(starts, event["ts"])
        while position < len(gloo) and "Collective name" in gloo[position].get("args", {}):
            position += 1
        if position < len(gloo) and starts[position] <= event["ts"] + event.get("dur", 0):
            gloo[position].setdefault("args", {}).update(record)
            drop.add(id(event))
        else:
            event["name"] = f"gloo:{record['Collective name']}"
            event.setdefault("args", {}).update(record)
    trace["traceEvents"] = [event for event in trace["traceEvents"] if id(event) not in drop]


def publish(source: Path, target: Path) -> int:
    """Write `target` from the worker's files and return its size in bytes; raises OSError or msgspec.DecodeError."""
    trace = msgspec.json.decode(source.read_bytes())
    annotate(trace, msgspec.json.decode(source.with_suffix(".calls").read_bytes()))
    partial = target.with_name(f".{target.name}.partial")
    try:
        with gzip.open(partial, "wb", compresslevel=1) as file:
            file.write(msgspec.json.encode(trace))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target.stat().st_size
