"""Two ranks that go on as a server does, or that record blocks of their own.

Usage: server_block.py serve STOP, under torchrun or alone, which goes on until the file STOP is there; or
server_block.py blocks FOLDER, which records two blocks into it. On GPUs where there are two, else on CPUs. Each round
is an 8-byte broadcast on the host, as a scheduler's, an all-reduce, an all-to-all, and a product between them.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

WORLD = 2
ON_GPU = torch.cuda.device_count() >= WORLD
DEVICE = "cuda" if ON_GPU else "cpu"
REDUCED, EXCHANGED = (1 << 19, 1 << 22) if ON_GPU else (1 << 10, 1 << 12)
MATRIX = 1024 if ON_GPU else 64


class Work:
    """What a rank does, with the tensors that it does it on."""

    def __init__(self) -> None:
        self.told = torch.zeros(1, dtype=torch.int64)
        self.reduced = torch.ones(REDUCED, device=DEVICE, dtype=torch.bfloat16)
        self.sent = torch.ones(EXCHANGED, device=DEVICE, dtype=torch.bfloat16)
        self.received = torch.empty_like(self.sent)
        self.square = torch.randn(MATRIX, MATRIX, device=DEVICE)

    def round(self, end: bool = False) -> bool:
        """One round; whether rank 0 says that it is the last."""
        self.told[0] = end
        dist.broadcast(self.told, 0)
        dist.all_reduce(self.reduced)
        self.reduced /= WORLD
        self.square @ self.square
        dist.all_to_all_single(self.received, self.sent)
        if ON_GPU:
            torch.cuda.synchronize()
        return bool(self.told.item())


def serve(stop: Path) -> None:
    """Rounds until `stop` is there."""
    work, rounds = Work(), 0
    while not work.round(stop.exists()):
        rounds += 1
        time.sleep(0.002)
    print(f"rank {dist.get_rank()}: {rounds} rounds, then told to stop", flush=True)


def blocks(folder: Path) -> None:
    """Two blocks, one inside a run that goes on between them."""
    import traceana

    work = Work()
    for _ in range(3):
        work.round()
    for name, rounds in (("first", 5), ("second", 3)):
        with traceana.capture(folder / name):
            for _ in range(rounds):
                work.round()
        work.round()
    print(f"rank {dist.get_rank()}: two blocks", flush=True)


def rank_main(rank: int, what: str, path: str) -> None:
    if ON_GPU:
        torch.cuda.set_device(rank)
    else:
        torch.set_num_threads(1)
    backend = "cpu:gloo,cuda:nccl" if ON_GPU else "gloo"
    # Torchrun has a store of its own, which only env:// finds.
    dist.init_process_group(backend, rank=rank, world_size=WORLD)
    {"serve": serve, "blocks": blocks}[what](Path(path))
    dist.destroy_process_group()


if __name__ == "__main__":
    given: Any = (*sys.argv[1:3],)
    if "RANK" in os.environ:
        rank_main(int(os.environ["RANK"]), *given)
    else:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": os.environ.get("MASTER_PORT", "29581")}
        spawn(rank_main, args=given, nprocs=WORLD)  # type: ignore[no-untyped-call]
