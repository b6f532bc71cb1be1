"""Two ranks, one of whose hosts sleeps: all-reduces beside, before and behind compute, for the causes of lost time.

Usage: torchrun --nproc-per-node 2 late_host.py FOLDER, which gets rankN.json.gz with stacks and cuda_sync events.
"""

import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch._C._profiler import _ExperimentalConfig
from torch.profiler import ProfilerActivity, profile, record_function

STEPS, WARM_UP = 8, 3
FIRST_LATE, LATE_S = 3, 0.005
"""From this step on rank 1 sleeps for so long before its last all-reduce."""
BEHIND_S = 0.002


def step(number: int, rank: int, sent: torch.Tensor, matrix: torch.Tensor) -> None:
    """Four all-reduces: one that compute waits for, one with the host behind, one on compute's stream, one late."""
    with record_function(f"train_step {number}"):
        product = matrix @ matrix
        work = dist.all_reduce(sent, async_op=True)
        work.wait()
        product = product @ matrix
        work = dist.all_reduce(sent, async_op=True)
        time.sleep(BEHIND_S)
        product = product @ matrix
        work.wait()
        dist.all_reduce(sent)
        product = product @ matrix
        if rank == 1 and number >= FIRST_LATE:
            time.sleep(LATE_S)
        product = product @ matrix
        dist.all_reduce(sent)
        torch.cuda.synchronize()


def main(folder: Path) -> None:
    """Warm up, then record."""
    rank = int(os.environ["RANK"])
    torch.cuda.set_device(rank)
    dist.init_process_group("nccl", device_id=torch.device("cuda", rank))
    sent = torch.ones(16 << 20, device="cuda", dtype=torch.bfloat16)
    matrix = torch.randn(2048, 2048, device="cuda", dtype=torch.bfloat16)
    for _ in range(WARM_UP):
        step(0, rank, sent, matrix)
    activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    config = _ExperimentalConfig(enable_cuda_sync_events=True)
    with profile(activities=activities, with_stack=True, experimental_config=config) as recorded:
        for number in range(STEPS):
            step(number, rank, sent, matrix)
    folder.mkdir(parents=True, exist_ok=True)
    recorded.export_chrome_trace(str(folder / f"rank{rank}.json.gz"))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
