"""Which rank this process is."""

import os
from typing import Any

import torch.distributed as dist


def facts() -> dict[str, Any]:
    """The rank, of how many, and what carries its collectives; what torchrun gave where there is no process group."""
    if dist.is_initialized():
        return {"rank": dist.get_rank(), "world_size": dist.get_world_size(), "backend": dist.get_backend()}
    rank, size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    known = rank.isdigit() and size.isdigit()
    # A program by itself is the only rank.
    return {"rank": int(rank) if known else 0, "world_size": int(size) if known else 1, "backend": "none"}
