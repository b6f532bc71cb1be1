"""The top-level keys of a Kineto trace that are not events."""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from traceana.trace.lenient import number, ranks, struct_of

MERGED = "traceana merge"
"""The top-level key that tells a merge of ranks from a rank's own file."""

_KEYS = ("distributedInfo", "deviceProperties", "baseTimeNanoseconds", "host_name", "with_stack", MERGED)
_NO_HOST = {"", "localhost", "unknown", "(none)"}
# No run has a million ranks; a larger number is damage, and would make a list of missing ranks without end.
_MOST_RANKS = 1 << 20
# Half of what int64 holds: a time of the file is added to it.
_LATEST_NS = 1 << 62
_NUMBER = re.compile(r'"(rank|world_size)"\s*:\s*"?(\d{1,7})\b')
_DAMAGED_CHARACTERS = 1 << 16
_NEXT_OBJECT = re.compile(r'[{}](?=\s*[\[{]\s*["{])')
_decoder = json.JSONDecoder(strict=False)


class ProcessGroupConfig(msgspec.Struct, frozen=True):
    """One entry of `distributedInfo.pg_config`; `ranks` are global ranks."""

    pg_name: str = ""
    pg_desc: str = ""
    backend_config: str = ""
    pg_size: int | None = None
    ranks: list[int] = []


class DistributedInfo(msgspec.Struct, frozen=True):
    """`distributedInfo`: absent where the process group did not exist when the profiler started."""

    rank: int | None = None
    world_size: int | None = None
    backend: str | None = None
    nccl_version: str | None = None
    pg_config: list[ProcessGroupConfig] = []


class DeviceProperties(msgspec.Struct, frozen=True):
    """One GPU."""

    id: int = 0
    name: str = ""


class Header(msgspec.Struct, frozen=True):
    """What the analysis needs of the top level. `base_time_ns` is added to every time stamp."""

    distributed: DistributedInfo | None = None
    devices: list[DeviceProperties] = []
    base_time_ns: int | None = None
    host: str | None = None
    merged: bool = False
    """Whether `traceana merge` wrote the file: it holds many ranks."""
    stacks: bool = False
    """Whether Python's stacks were recorded."""

    @property
    def rank(self) -> int | None:
        """The rank that the file itself states."""
        return self.distributed.rank if self.distributed else None

    def completed_by(self, other: "Header") -> "Header":
        """This header with what it lacks taken from `other` (the keys after the events)."""
        return Header(
            distributed=self.distributed or other.distributed,
            devices=self.devices or other.devices,
            base_time_ns=other.base_time_ns if self.base_time_ns is None else self.base_time_ns,
            host=self.host or other.host,
            merged=self.merged or other.merged,
            stacks=self.stacks or other.stacks,
        )


def decode_header(data: bytes) -> Header:
    """Decode an object of top-level keys, whole or damaged; a key whose value is malformed counts as absent."""
    text = data.decode("utf-8", "replace")
    keys = _keys(text)
    devices = keys.get("deviceProperties")
    host = keys.get("host_name")
    base = number(keys.get("baseTimeNanoseconds"))
    return Header(
        distributed=_distributed(keys.get("distributedInfo")),
        devices=[struct_of(one, DeviceProperties) for one in _objects(devices) if "name" in one],
        base_time_ns=base if base is not None and abs(base) <= _LATEST_NS else None,
        host=_host(host) if isinstance(host, str) else None,
        merged=MERGED in keys,
        stacks=bool(number(keys.get("with_stack"))),
    )


def _host(name: str) -> str | None:
    name = name.encode("utf-8", "replace").decode().strip()
    return None if name.lower() in _NO_HOST else name


def descriptions_by_name(header: Header) -> dict[str, str]:
    """What each process group's maker called it, by its name, from `distributedInfo`."""
    configs = header.distributed.pg_config if header.distributed else []
    return {config.pg_name: config.pg_desc for config in configs if config.pg_desc}


def groups_by_name(header: Header) -> dict[str, tuple[int, ...]]:
    """Ranks of each process group by its name, from `distributedInfo`."""
    configs = header.distributed.pg_config if header.distributed else []
    return {config.pg_name: tuple(config.ranks) for config in configs if config.ranks}


def split_object(data: bytes) -> tuple[bytes, bytes]:
    """The object that `data` begins with, and what follows it; where it is damaged, all up to another object."""
    text = data.decode("utf-8", "replace")
    try:
        _, end = _decoder.raw_decode(text)
    except (ValueError, RecursionError):
        other = _NEXT_OBJECT.search(text)
        end = other.start() + 1 if other else len(text)
    return text[:end].encode(), text[end:].encode()


def _keys(text: str) -> Mapping[str, Any]:
    """The values of those keys that are read; where the object is damaged, each by itself."""
    try:
        whole = json.loads(text, strict=False)
        return whole if isinstance(whole, dict) else {}
    except (ValueError, RecursionError):
        # One damaged value makes the whole unreadable; the others are found one by one.
        pass
    found = {}
    for key in _KEYS:
        start = re.search(rf'"{key}"\s*:\s*', text)
        if start:
            found[key] = _value(text, start.end())
    return found


def _value(text: str, start: int) -> object:
    """The value that begins at `start`; of a damaged one the numbers that it begins with."""
    try:
        value, _ = _decoder.raw_decode(text, start)
    except (ValueError, RecursionError):
        stretch = text[start : start + _DAMAGED_CHARACTERS]
        return dict(reversed(_NUMBER.findall(stretch)))
    return value


def _distributed(value: object) -> DistributedInfo | None:
    value = next(iter(_objects(value)), None) if isinstance(value, str | list) else value
    if not isinstance(value, dict):
        return None
    groups = [_group(one) for one in _objects(value.get("pg_config"))]
    known = struct_of({key: one for key, one in value.items() if key != "pg_config"}, DistributedInfo)
    return msgspec.structs.replace(
        known, rank=_rank_number(value.get("rank")), world_size=_rank_number(value.get("world_size")), pg_config=groups
    )


def _group(value: dict[str, Any]) -> ProcessGroupConfig:
    known = struct_of({key: one for key, one in value.items() if key != "ranks"}, ProcessGroupConfig)
    return msgspec.structs.replace(known, ranks=list(ranks(value.get("ranks")) or ()))


def _rank_number(value: object) -> int | None:
    found = number(value)
    return found if found is not None and 0 <= found <= _MOST_RANKS else None


def _objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list, which may itself be written as a string."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    value = [value] if isinstance(value, dict) else value
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
