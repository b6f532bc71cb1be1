"""Two ranks that reduce and exchange by sglang's own groups, without a model: which backend carries it is sglang's say.

Usage: groups_block.py {diffusion,srt} [ROUNDS]. Of the diffusion runtime a group of tensor parallelism and Ulysses'
all-to-all, of the language runtime a group of tensor parallelism.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

WORLD = 2
ON_GPU = torch.cuda.device_count() >= WORLD
DEVICE = "cuda" if ON_GPU else "cpu"
BACKEND = "nccl" if ON_GPU else "gloo"
ELEMENTS = (1 << 14, 1 << 19)
# As Wan's: batch, sequence, heads, head size.
SHAPE = (1, 2048, 12, 128) if ON_GPU else (1, 16, 4, 8)


def diffusion(rank: int) -> Callable[[], list[Any]]:
    """One round, which gives its results."""
    if not hasattr(torch._C, "_accelerator_getAllocatorSettings"):
        # sglang asks torch 2.12 whether segments can be expanded; torch 2.11 cannot say.
        print("torch has no _accelerator_getAllocatorSettings: sglang is told that segments are not expandable")
        torch._C._accelerator_getAllocatorSettings = lambda: ""
    from sglang.multimodal_gen.runtime.distributed import parallel_state
    from sglang.multimodal_gen.runtime.layers import usp

    parallel_state.maybe_init_distributed_environment_and_model_parallel(1, WORLD, 1, WORLD)
    group = parallel_state.init_parallel_group_coordinator([[0, 1]], rank, BACKEND, "tensor")
    heads = torch.ones(SHAPE, device=DEVICE, dtype=torch.bfloat16)

    def round_() -> list[Any]:
        reduced = [group.all_reduce(torch.ones(n, device=DEVICE, dtype=torch.bfloat16)) for n in ELEMENTS]
        return [*reduced, usp._usp_input_all_to_all(heads, head_dim=2)]

    return round_


def srt(rank: int) -> Callable[[], list[Any]]:
    """One round, which gives its results."""
    from sglang.srt.distributed import parallel_state

    where = f"tcp://127.0.0.1:{os.environ['MASTER_PORT']}"
    parallel_state.init_distributed_environment(WORLD, rank, where, rank, BACKEND)
    group = parallel_state.init_model_parallel_group([[0, 1]], rank, BACKEND, group_name="tp")
    return lambda: [group.all_reduce(torch.ones(n, device=DEVICE, dtype=torch.bfloat16)) for n in ELEMENTS]


def rank_main(rank: int, runtime: str, rounds: int) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(WORLD), "MASTER_ADDR": "127.0.0.1"}
    if ON_GPU:
        torch.cuda.set_device(rank)
    round_ = {"diffusion": diffusion, "srt": srt}[runtime](rank)
    for _ in range(rounds):
        results = round_()
        if ON_GPU:
            torch.cuda.synchronize()
    print(f"rank {rank}: {rounds} rounds, {[float(result.flatten()[0]) for result in results]}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("MASTER_PORT", "29582")
    rounds = int(sys.argv[2]) if sys.argv[2:] else 40
    spawn(rank_main, args=(sys.argv[1], rounds), nprocs=WORLD)  # type: ignore[no-untyped-call]
