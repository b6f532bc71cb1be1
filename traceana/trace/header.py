"""The top-level keys of a Kineto trace that are not events."""

from typing import Annotated, Any

import msgspec

MERGED = "traceana merge"
"""The top-level key that tells a merge of ranks from a rank's own file."""

# No run has a million ranks; a larger number is damage, and would make a list of missing ranks without end.
_RankNumber = Annotated[int, msgspec.Meta(ge=0, le=1 << 20)]


class ProcessGroupConfig(msgspec.Struct, frozen=True):
    """One entry of `distributedInfo.pg_config`; `ranks` are global ranks."""

    pg_name: str = ""
    pg_desc: str = ""
    backend_config: str = ""
    pg_size: int | None = None
    ranks: list[int] = []


class DistributedInfo(msgspec.Struct, frozen=True):
    """`distributedInfo`: absent where the process group did not exist when the profiler started."""

    rank: _RankNumber | None = None
    world_size: _RankNumber | None = None
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
    merged: bool = False
    """Whether `traceana merge` wrote the file: it holds many ranks."""

    def completed_by(self, other: "Header") -> "Header":
        """This header with what it lacks taken from `other` (the keys after the events)."""
        return Header(
            distributed=self.distributed or other.distributed,
            devices=self.devices or other.devices,
            base_time_ns=other.base_time_ns if self.base_time_ns is None else self.base_time_ns,
            merged=self.merged or other.merged,
        )


def decode_header(data: bytes) -> Header:
    """Decode an object of top-level keys; a key whose value is malformed counts as absent."""
    try:
        keys: dict[str, msgspec.Raw] = msgspec.json.decode(data.decode("utf-8", "replace"), type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError:
        return Header()
    return Header(
        distributed=_value(keys, "distributedInfo", DistributedInfo),
        devices=_value(keys, "deviceProperties", list[DeviceProperties]) or [],
        base_time_ns=_value(keys, "baseTimeNanoseconds", int),
        merged=MERGED in keys,
    )


def _value(keys: dict[str, msgspec.Raw], name: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(keys[name], type=kind)
    except (KeyError, msgspec.MsgspecError):
        return None
