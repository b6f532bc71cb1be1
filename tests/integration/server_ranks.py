"""Two ranks of a server: a collective for each request, until the file argv[1] is there."""

import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing

from tests.integration.two_ranks import run_both


def serve(rank: int, stop: Path, port: str) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    told = torch.zeros(64)
    while not told[0]:
        told[:] = stop.exists()
        dist.all_reduce(told, op=dist.ReduceOp.MIN)
        time.sleep(0.02)
    dist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(run_both(serve, Path(sys.argv[1]), sys.argv[2]))
