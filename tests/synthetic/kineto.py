"""Writes Chrome traces in the shape that Kineto gives them: the events of one rank, then the file around them.

Format: Kineto's `output_json.cpp`; the order of keys and events follows files written by torch 2.11. Left out: Python
stacks, tensor shapes, occupancy figures, counters.
"""

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path

Event = dict[str, object]

MAIN_STREAM = 7
SIDE_STREAM = 23
LAUNCH_LATENCY_NS = 5_000
LIST_LIMIT = 30
"""torch cuts longer lists of ranks and split sizes and ends them with "..."."""
BASE_TIME_NS = 1_790_857_026_000_000_000


def microseconds(ns: int) -> float:
    """Kineto's unit; below 2**43 µs three decimals survive in a double."""
    return ns / 1000


def shortened(values: tuple[int, ...]) -> str:
    """A list as torch writes it into a string, cut after LIST_LIMIT entries."""
    text = ", ".join(str(value) for value in values[:LIST_LIMIT])
    return f"[{text}, ...]" if len(values) > LIST_LIMIT else f"[{text}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A process group: `ranks` are global, `name` is what c10d calls it."""

    name: str
    description: str
    ranks: tuple[int, ...]

    def config(self, backend: str) -> Event:
        """Its entry in `distributedInfo.pg_config`."""
        return {
            "pg_name": self.name,
            "pg_desc": self.description,
            "backend_config": backend,
            "pg_size": len(self.ranks),
            "ranks": list(self.ranks),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveArgs:
    """The metadata that c10d gives a collective, in Kineto's own keys."""

    name: str
    in_nelems: int
    out_nelems: int
    dtype: str
    group: Group
    sequence: int | None = None
    in_split: tuple[int, ...] = ()
    out_split: tuple[int, ...] = ()
    source: int | None = None
    destination: int | None = None

    def as_args(self) -> Event:
        """Keys in the order of a kernel's `args`."""
        args: Event = {
            "Collective name": self.name,
            "In msg nelems": self.in_nelems,
            "Out msg nelems": self.out_nelems,
            "Group size": len(self.group.ranks),
            "dtype": self.dtype,
            "In split size": shortened(self.in_split),
            "Out split size": shortened(self.out_split),
            "Process Group Name": self.group.name,
            "Process Group Description": self.group.description,
            "Process Group Ranks": shortened(self.group.ranks),
        }
        told = {"Seq": self.sequence, "Src Rank": self.source, "Dst Rank": self.destination}
        return args | {key: value for key, value in told.items() if value is not None}


@dataclass(slots=True, kw_only=True)
class EventWriter:
    """Collects one rank's events; times are ns on this rank's own clock."""

    rank: int
    device: int = 0
    pid: int = 4000
    events: list[Event] = field(default_factory=list)
    _correlation: int = 100_000
    """A process that has launched kernels before; HTA 0.5 needs numbers that fill an int32 on pandas 3."""

    def host_span(self, category: str, name: str, start_ns: int, dur_ns: int, args: Event | None = None) -> int:
        """A `cpu_op` or `user_annotation`; returns its External id."""
        external_id = len(self.events) + 1
        self._add(category, name, self.pid, self.pid, start_ns, dur_ns, {"External id": external_id, **(args or {})})
        return external_id

    def activity(
        self,
        category: str,
        name: str,
        start_ns: int,
        dur_ns: int,
        *,
        stream: int = MAIN_STREAM,
        external_id: int = 0,
        args: Event | None = None,
        launched_ns: int | None = None,
    ) -> None:
        """A GPU activity, the runtime call that launched it, by default just before, and the arrow between them."""
        self._correlation += 1
        link: Event = (
            {"External id": external_id, "correlation": self._correlation}
            if external_id
            else {"correlation": self._correlation}
        )
        device: Event = {"device": self.device, "context": 1, "stream": stream}
        self._add(category, name, self.device, stream, start_ns, dur_ns, {**device, **link, **(args or {})})
        launched_ns = start_ns - LAUNCH_LATENCY_NS if launched_ns is None else launched_ns
        call = "cudaLaunchKernelExC" if category == "kernel" else "cudaMemcpyAsync"
        self._add("cuda_runtime", call, self.pid, self.pid, launched_ns, 2_000, {"cbid": 430, **link})
        self._arrow("s", self.pid, self.pid, launched_ns)
        self._arrow("f", self.device, stream, start_ns)

    def synchronize(self, start_ns: int, dur_ns: int) -> None:
        """The host waits for all of its device."""
        self._correlation += 1
        args: Event = {"cbid": 165, "correlation": self._correlation}
        self._add("cuda_runtime", "cudaDeviceSynchronize", self.pid, self.pid, start_ns, dur_ns, args)

    def device_span(self, name: str, start_ns: int, dur_ns: int, external_id: int) -> None:
        """A `gpu_user_annotation`: a user span drawn over the kernels that it launched."""
        self._add("gpu_user_annotation", name, self.device, MAIN_STREAM, start_ns, dur_ns, {"External id": external_id})

    def _add(self, category: str, name: str, pid: int, tid: int, start_ns: int, dur_ns: int, args: Event) -> None:
        place: Event = {"ph": "X", "cat": category, "name": name, "pid": pid, "tid": tid}
        self.events.append({**place, "ts": microseconds(start_ns), "dur": microseconds(dur_ns), "args": args})

    def _arrow(self, phase: str, pid: int, tid: int, at_ns: int) -> None:
        arrow: Event = {"ph": phase, "id": self._correlation, "pid": pid, "tid": tid, "ts": microseconds(at_ns)}
        self.events.append({**arrow, "cat": "ac2g", "name": "ac2g", **({"bp": "e"} if phase == "f" else {})})


def document(
    writer: EventWriter,
    *,
    world_size: int,
    groups: tuple[Group, ...],
    gpu: str | None,
    base_time_ns: int = BASE_TIME_NS,
) -> Event:
    """The whole file as a value; `gpu` None stands for a machine without one."""
    backend = "cpu:gloo,cuda:nccl" if gpu else "gloo"
    devices = [{"id": writer.device, "name": gpu, "computeMajor": 9, "computeMinor": 0, "numSms": 132}] if gpu else []
    return {
        "schemaVersion": 1,
        "deviceProperties": devices,
        "distributedInfo": {
            "backend": backend,
            "rank": writer.rank,
            "world_size": world_size,
            "pg_count": len(groups),
            "pg_config": [group.config(backend) for group in groups],
            **({"nccl_version": "2.28.9"} if gpu else {}),
        },
        "displayTimeUnit": "ms",
        "baseTimeNanoseconds": base_time_ns,
        "traceEvents": [*writer.events, *_closing_events(writer)],
        "traceName": f"/tmp/rank{writer.rank}.json",
    }


def _closing_events(writer: EventWriter) -> list[Event]:
    """The process names and the profiler's own marks that end every file."""
    first = writer.events[0]["ts"] if writer.events else 0.0
    return [
        {"name": "process_name", "ph": "M", "ts": first, "pid": writer.pid, "tid": 0, "args": {"name": "python3"}},
        {
            "name": "Iteration Start: PyTorch Profiler",
            "ph": "i",
            "s": "g",
            "pid": "Traces",
            "tid": "Trace",
            "ts": first,
        },
        {"name": "Record Window End", "ph": "i", "s": "g", "pid": "", "tid": "", "ts": first},
    ]


def write_document(path: Path, content: Event) -> None:
    """JSON, through gzip where the name ends in .gz; the same content always gives the same bytes."""
    data = json.dumps(content).encode()
    path.write_bytes(gzip.compress(data, compresslevel=1, mtime=0) if path.suffix == ".gz" else data)
