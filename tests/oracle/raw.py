"""One rank's file as plain values: times are integer ns on the rank's own clock."""

import gzip
import json
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

Args = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A complete event; `start` and `end` are in ns."""

    category: str
    name: str
    thread: object
    start: int
    end: int
    args: Args

    @property
    def duration(self) -> int:
        return self.end - self.start

    def holds(self, moment: int) -> bool:
        """Whether the event was open then."""
        return self.start <= moment <= self.end


@dataclass(slots=True, kw_only=True)
class RawRank:
    """Events of one file by category."""

    rank: int
    world: int
    groups: dict[str, tuple[int, ...]]
    amd: bool
    by_category: dict[str, list[Event]] = field(default_factory=dict)

    def of(self, *categories: str) -> list[Event]:
        return [event for category in categories for event in self.by_category.get(category, [])]

    @property
    def activities(self) -> list[Event]:
        """What the device did."""
        return self.of("kernel", "gpu_memcpy", "gpu_memset")

    @property
    def launches(self) -> dict[int, Event]:
        """Runtime calls by correlation; 0 is none."""
        calls = [call for call in self.of("cuda_runtime", "cuda_driver") if "aunch" in call.name or "Mem" in call.name]
        return {call.args["correlation"]: call for call in calls if call.args.get("correlation")}


def read(path: Path) -> RawRank:
    """Read one whole, undamaged file."""
    data = path.read_bytes()
    document = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data, parse_float=Decimal)
    info = document.get("distributedInfo") or {}
    base = int(document.get("baseTimeNanoseconds") or 0)
    raw = RawRank(
        rank=int(info.get("rank", 0)),
        world=int(info.get("world_size", 1)),
        groups={group["pg_name"]: tuple(group["ranks"]) for group in info.get("pg_config") or [] if group.get("ranks")},
        amd=any("AMD" in device.get("name", "") for device in document.get("deviceProperties") or []),
    )
    for event in document["traceEvents"]:
        if event.get("ph") == "X" and "cat" in event:
            raw.by_category.setdefault(event["cat"], []).append(_event(event, base))
    return raw


def _event(event: Args, base: int) -> Event:
    start, duration = nanoseconds(event["ts"]) + base, nanoseconds(event.get("dur", 0))
    return Event(
        category=event["cat"],
        name=event["name"],
        thread=event.get("tid"),
        start=start,
        end=start + max(duration, 0),
        args=event.get("args") or {},
    )


def nanoseconds(microseconds: int | Decimal) -> int:
    """Kineto's unit to ns, exactly."""
    return int((Decimal(microseconds) * 1000).to_integral_value())
