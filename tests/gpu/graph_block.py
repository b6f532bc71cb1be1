"""Two ranks that replay one CUDA graph a step: all-reduce, all-gather and all-to-all of different sizes.

Usage: graph_block.py {torch,pynccl} [STEPS]; PyNccl is sglang's diffusion communicator. Where there is one GPU, both
ranks share it: NCCL_HOSTID makes each look like a host of its own, because NCCL refuses two ranks on one GPU of a host.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

WORLD = 2
ELEMENTS = {"all_reduce": 1 << 20, "all_gather": 1 << 16, "all_to_all": 3 << 18}


class Pynccl:
    """Sglang's communicator under c10d's names."""

    def __init__(self) -> None:
        import nvidia.nccl
        from sglang.multimodal_gen.runtime.distributed.device_communicators.pynccl import PyNcclCommunicator

        library = next(Path(next(iter(nvidia.nccl.__path__))).glob("lib/libnccl.so*"))
        self.communicator = PyNcclCommunicator(
            dist.new_group(backend="gloo"), torch.device("cuda", torch.cuda.current_device()), str(library)
        )

    def all_reduce(self, tensor: torch.Tensor) -> Any:
        return self.communicator.all_reduce(tensor)

    def all_gather_into_tensor(self, received: torch.Tensor, sent: torch.Tensor) -> None:
        self.communicator.all_gather(received, sent)

    def all_to_all_single(self, received: torch.Tensor, sent: torch.Tensor) -> None:
        self.communicator.all_to_all_single(received, sent)


def rank_main(rank: int, backend: str, steps: int) -> None:
    if torch.cuda.device_count() < WORLD:
        os.environ |= {"NCCL_HOSTID": f"host{rank}", "NCCL_SOCKET_IFNAME": "lo", "NCCL_IB_DISABLE": "1"}
    torch.cuda.set_device(rank % torch.cuda.device_count())
    dist.init_process_group(
        "cpu:gloo,cuda:nccl", rank=rank, world_size=WORLD, init_method="tcp://127.0.0.1:29571", device_id=None
    )
    channel: Any = Pynccl() if backend == "pynccl" else dist
    tensors = {op: torch.ones(count, device="cuda", dtype=torch.bfloat16) for op, count in ELEMENTS.items()}
    gathered = torch.empty(WORLD * ELEMENTS["all_gather"], device="cuda", dtype=torch.bfloat16)
    exchanged = torch.empty_like(tensors["all_to_all"])
    square = torch.randn(1024, 1024, device="cuda", dtype=torch.bfloat16)

    def step() -> None:
        channel.all_reduce(tensors["all_reduce"])
        square @ square
        channel.all_gather_into_tensor(gathered, tensors["all_gather"])
        channel.all_to_all_single(exchanged, tensors["all_to_all"])

    step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    for index in range(steps):
        with torch.profiler.record_function(f"denoise_step {index}"):
            graph.replay()
            torch.cuda.synchronize()
    print(f"rank {rank}: {steps} replays, backend {backend}", flush=True)
    del graph
    dist.destroy_process_group()


if __name__ == "__main__":
    backend, steps = sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else 4
    spawn(rank_main, args=(backend, steps), nprocs=WORLD)  # type: ignore[no-untyped-call]
