"""A rank among the bench's ranks: its device, and the process group that all backends are given."""

import os
import socket
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

_PATIENCE = timedelta(seconds=120)
# torch gives it no types.
_stream: Any = torch.cuda.Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """This process among `size` ranks."""

    rank: int
    size: int
    device: torch.device

    @property
    def on_gpu(self) -> bool:
        """Whether messages are in GPU memory."""
        return self.device.type == "cuda"

    def own_stream(self) -> AbstractContextManager[object]:
        """A stream of the bench's own for all that is measured, as nccl-tests has one."""
        return torch.cuda.stream(_stream(self.device)) if self.on_gpu else nullcontext()

    def slowest(self, times_ns: torch.Tensor) -> torch.Tensor:
        """Element by element the longest time of all ranks."""
        on_device = times_ns.to(self.device)
        dist.all_reduce(on_device, op=dist.ReduceOp.MAX)
        return on_device.cpu()

    def anywhere(self, wrong: bool) -> bool:
        """Whether it is so on any rank."""
        return bool(self.slowest(torch.tensor([int(wrong)])).item())

    def hosts(self) -> int:
        """How many machines the ranks are on."""
        names: list[str | None] = [None] * self.size
        dist.all_gather_object(names, socket.gethostname())
        return len(set(names))

    def synchronize(self) -> None:
        """Wait for the device, and then for all ranks."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)
        dist.barrier()


def join() -> World:
    """Set up the process group from the variables that torchrun sets; NCCL where each local rank has a GPU."""
    local, here = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    on_gpu = torch.cuda.device_count() >= here
    # srun may show each of its tasks its own GPU alone.
    index = local if local < torch.cuda.device_count() else 0
    device = torch.device("cuda", index) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", device_id=device, timeout=_PATIENCE)
    else:
        dist.init_process_group("gloo", timeout=_PATIENCE)
    return World(rank=dist.get_rank(), size=dist.get_world_size(), device=device)
