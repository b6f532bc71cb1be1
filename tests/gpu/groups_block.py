"""Two ranks that reduce and exchange by sglang's own groups, without a model: which backend carries it is sglang's say.

Usage: groups_block.py {diffusion,srt} [ROUNDS] [full]. Of the diffusion runtime a group of tensor parallelism and
Ulysses' all-to-all, of the language runtime a group of tensor parallelism. With "full", rank 1 has memory for copies of
the tensors that it exchanges, and none beside them. Where the variable GROUPS_TURN names a file, several runs take
turns on the GPUs by it, because most of a run is its imports.
"""

import fcntl
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
# 256 MiB: torch's allocator neither splits nor joins blocks of that size. The program itself has five at a time.
LARGE = (1, 1 << 14, 64, 128)
LARGE_BYTES, LARGE_AT_ONCE, SMALL_BYTES = 256 << 20, 8, 128 << 20


def take_turn(rank: int) -> None:
    """Wait until no other run is on the GPUs; the next one comes when this process has ended."""
    if rank == 0 and "GROUPS_TURN" in os.environ:
        fcntl.flock(os.open(os.environ["GROUPS_TURN"], os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)


def fill(rank: int) -> None:
    """Leave rank 1 memory for copies of what it exchanges, and no more."""
    if rank == 1:
        total = torch.cuda.get_device_properties(rank).total_memory
        torch.cuda.set_per_process_memory_fraction((LARGE_AT_ONCE * LARGE_BYTES + SMALL_BYTES) / total, rank)


def diffusion(rank: int, full: bool) -> Callable[[], list[Any]]:
    """One round, which gives its results."""
    if not hasattr(torch._C, "_accelerator_getAllocatorSettings"):
        # sglang asks torch 2.12 whether segments can be expanded; torch 2.11 cannot say.
        print("torch has no _accelerator_getAllocatorSettings: sglang is told that segments are not expandable")
        torch._C._accelerator_getAllocatorSettings = lambda: ""
    from sglang.multimodal_gen.runtime.distributed import parallel_state
    from sglang.multimodal_gen.runtime.layers import usp

    take_turn(rank)
    parallel_state.maybe_init_distributed_environment_and_model_parallel(1, WORLD, 1, WORLD)
    group = parallel_state.init_parallel_group_coordinator([[0, 1]], rank, BACKEND, "tensor")
    if full:
        fill(rank)
    heads = torch.ones(LARGE if full else SHAPE, device=DEVICE, dtype=torch.bfloat16)

    def round_() -> list[Any]:
        reduced = [group.all_reduce(torch.ones(n, device=DEVICE, dtype=torch.bfloat16)) for n in ELEMENTS]
        return [*reduced, usp._usp_input_all_to_all(heads, head_dim=2)]

    return round_


def srt(rank: int, _full: bool) -> Callable[[], list[Any]]:
    """One round, which gives its results."""
    from sglang.srt.distributed import parallel_state

    take_turn(rank)
    where = f"tcp://127.0.0.1:{os.environ['MASTER_PORT']}"
    parallel_state.init_distributed_environment(WORLD, rank, where, rank, BACKEND)
    group = parallel_state.init_model_parallel_group([[0, 1]], rank, BACKEND, group_name="tp")
    return lambda: [group.all_reduce(torch.ones(n, device=DEVICE, dtype=torch.bfloat16)) for n in ELEMENTS]


def own_exchange() -> str:
    """Whether the program's own exchange by CUDA IPC was ever set up, where its module is there."""
    found = sys.modules.get("sglang.multimodal_gen.runtime.distributed.device_communicators.ipc_a2a_multi")
    return "absent" if found is None else "set up" if found.IPC_A2A_MULTI.inited else "untouched"


def rank_main(rank: int, runtime: str, rounds: int, full: bool) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(WORLD), "MASTER_ADDR": "127.0.0.1"}
    if ON_GPU:
        torch.cuda.set_device(rank)
    round_ = {"diffusion": diffusion, "srt": srt}[runtime](rank, full)
    for _ in range(rounds):
        results = round_()
        if ON_GPU:
            torch.cuda.synchronize()
    values = [float(result.flatten()[0]) for result in results]
    print(f"rank {rank}: {rounds} rounds, {values}; the program's own CUDA IPC: {own_exchange()}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("MASTER_PORT", "29582")
    rounds = int(sys.argv[2]) if sys.argv[2:] else 40
    spawn(rank_main, args=(sys.argv[1], rounds, "full" in sys.argv[3:]), nprocs=WORLD)  # type: ignore[no-untyped-call]
