"""sglang's exchanges for diffusion: Ulysses' all-to-all by its own function, and the CUDA IPC transport alone."""

from typing import Any

import torch
import torch.distributed as dist

from traceana.bench.backends import Call, Unavailable, frameworks
from traceana.bench.buffers import Buffers
from traceana.bench.world import World

_RUNTIME = "sglang.multimodal_gen.runtime"
_TWO = 2


class Sglang:
    """`_usp_input_all_to_all`, which takes CUDA IPC where that is on and can be, else torch.distributed."""

    name = "sglang"

    def __init__(self, world: World) -> None:
        self._exchange = frameworks.found(f"{_RUNTIME}.layers.usp", "_usp_input_all_to_all")
        groups = f"{_RUNTIME}.distributed.parallel_state"
        # Tensor parallelism of 1, and all ranks in one group of Ulysses.
        degrees = (1, world.size, 1, world.size)
        frameworks.made(world, groups, "maybe_init_distributed_environment_and_model_parallel", *degrees)
        self.detail = f"sglang {frameworks.release('sglang')}, its own choice of transport"

    def call(self, buffers: Buffers) -> Call | str:
        """See Backend."""
        if buffers.op != "all_to_all_4d":
            return "sglang's own function is Ulysses' exchange, all_to_all_4d with --model"
        results: list[Any] = [buffers.target]

        def run() -> None:
            results[0] = self._exchange(buffers.source, head_dim=2)

        return Call(run=run, unload=lambda: buffers.target.copy_(results[0]))


class SglangIpc:
    """The transport of two ranks: a copy into the peer's memory, a counter, and a kernel that waits for the peer's."""

    name = "sglang_ipc"

    def __init__(self, world: World) -> None:
        frameworks.need_gpus(world, "CUDA IPC")
        if world.size != _TWO:
            raise Unavailable(f"it is made for two ranks, and there are {world.size}")
        module = f"{_RUNTIME}.distributed.device_communicators.ipc_a2a"
        self._state = frameworks.made(world, module, "IpcA2AState")
        self._group: Any = dist.group.WORLD
        problem = None
        try:
            self._state.init(self._group)
        except Exception as error:
            problem = f"sglang's IPC transport cannot be set up ({error})"
        if world.anywhere(problem is not None):
            raise Unavailable(problem or "another rank cannot set it up")
        self.world = world
        self.detail = f"IpcA2AState of sglang {frameworks.release('sglang')}"

    def call(self, buffers: Buffers) -> Call | str:
        """See Backend."""
        if buffers.op != "all_to_all":
            return "it is an all_to_all of equal parts; Ulysses' exchange over it is that of sglang"
        mine, theirs = self.world.rank, 1 - self.world.rank
        sent, received = buffers.source.chunk(_TWO), buffers.target.chunk(_TWO)

        def run() -> None:
            received[mine].copy_(sent[mine])
            came: torch.Tensor = self._state.exchange(self._group, sent[theirs], sent[theirs].shape)
            received[theirs].copy_(came)

        return Call(run=run)
