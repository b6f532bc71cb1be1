"""Two ranks on two GPUs whose all-reduce neither c10d nor NCCL carries: single calls, then replays of a CUDA graph.

Usage: direct_block.py {symmetric,custom} [STEPS]; custom is sglang's custom all-reduce, which is compiled at first use.
"""

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

WORLD = 2
ELEMENTS = (1 << 12, 1 << 16)
DEVICE = torch.device("cuda")


def symmetric() -> tuple[Callable[[int], Any], Any]:
    """Operators of torch.ops.symm_mem, one for each size, and what a graph's capture needs around it."""
    from torch.distributed import _symmetric_memory

    world: Any = dist.group.WORLD
    tensors = [_symmetric_memory.empty(count, dtype=torch.bfloat16, device=DEVICE).fill_(1) for count in ELEMENTS]
    for tensor in tensors:
        _symmetric_memory.rendezvous(tensor, world.group_name)
    operators = torch.ops.symm_mem.one_shot_all_reduce, torch.ops.symm_mem.two_shot_all_reduce_
    return lambda index: operators[index](tensors[index], "sum", world.group_name), contextlib.nullcontext


def custom() -> tuple[Callable[[int], Any], Any]:
    """Sglang's custom all-reduce over peer memory, and what a graph's capture needs around it."""
    # Its own check of peer access needs all of sglang's groups.
    os.environ["SGLANG_SKIP_P2P_CHECK"] = "1"
    from sglang.srt.distributed.device_communicators.custom_all_reduce_v2 import CustomAllReduceV2

    communicator = CustomAllReduceV2(dist.new_group(backend="gloo"), torch.device("cuda", torch.cuda.current_device()))
    tensors = [torch.ones(count, dtype=torch.bfloat16, device="cuda") for count in ELEMENTS]
    return lambda index: communicator.custom_all_reduce(tensors[index]), communicator.capture


def rank_main(rank: int, channel: str, steps: int) -> None:
    torch.cuda.set_device(rank)
    dist.init_process_group("cpu:gloo,cuda:nccl", rank=rank, world_size=WORLD, init_method="tcp://127.0.0.1:29573")
    all_reduce, capturing = {"symmetric": symmetric, "custom": custom}[channel]()
    square = torch.randn(1024, 1024, device="cuda", dtype=torch.bfloat16)

    def step() -> Any:
        results = [all_reduce(index) for index in range(len(ELEMENTS))]
        square @ square
        return results

    for _ in range(steps):
        results = step()
        torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with capturing(), torch.cuda.graph(graph):
        step()
    for _ in range(steps):
        graph.replay()
        torch.cuda.synchronize()
    print(f"rank {rank}: {channel}, {steps} steps and {steps} replays, {[float(r[0]) for r in results]}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    channel, steps = sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else 4
    spawn(rank_main, args=(channel, steps), nprocs=WORLD)  # type: ignore[no-untyped-call]
