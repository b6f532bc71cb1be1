"""What calls of one kind share, in the words that c10d writes for NCCL."""

import functools
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import distributed_c10d as c10d

C10D = "torch.distributed"
DESCRIPTION = "Process Group Description"
DTYPES = {"float32": "Float", "float16": "Half", "bfloat16": "BFloat16", "float64": "Double", "int32": "Int"} | {
    "int64": "Long",
    "uint8": "Byte",
    "int8": "Char",
    "bool": "Bool",
}


def group_keys(group: Any) -> dict[str, Any]:
    """What is said of a process group; raises what torch does for one that this rank is no member of."""
    ranks = dist.get_process_group_ranks(group)
    return {
        "Group size": len(ranks),
        "Process Group Name": group.group_name,
        DESCRIPTION: group.group_desc,
        "Process Group Ranks": str(ranks),
    }


@functools.lru_cache(maxsize=1024)
def shared_keys(
    name: str, dtype: torch.dtype, group: Any, backend: str, library: str, peer: tuple[str, int] | None = None
) -> dict[str, Any]:
    """What all calls of this kind share; cleared when a group is destroyed, for the cache would keep it alive.

    `peer` is c10d's word for the other rank of a send or recv, and its number in the group; what is written is its
    number in the world, as torch writes it for NCCL.
    """
    spelled = str(dtype).removeprefix("torch.")
    keys = {"Collective name": name, "dtype": DTYPES.get(spelled, spelled), **group_keys(group)}
    if peer is not None:
        keys[peer[0]] = dist.get_process_group_ranks(group)[peer[1]]
    return keys | {"traceana backend": backend, "traceana library": library}


@functools.lru_cache(maxsize=1024)
def kind(name: str, dtype: torch.dtype, group: Any, on_cpu: bool) -> dict[str, Any]:
    """What all such calls of c10d share.

    Their numbers are the flight recorder's: a group's own number counts sends too, which not all its ranks issue.
    """
    library = "gloo" if on_cpu else "NCCL"
    try:
        return shared_keys(name, dtype, group or c10d._get_default_group(), C10D, library)
    except (AttributeError, KeyError, RuntimeError, ValueError):
        # A group that this rank is no member of: c10d warns of it and does nothing.
        return {"Collective name": name, "traceana backend": C10D, "traceana library": library}


def forget_groups() -> None:
    """A group was destroyed."""
    shared_keys.cache_clear()
    kind.cache_clear()
