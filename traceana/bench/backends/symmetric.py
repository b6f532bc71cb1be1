"""PyTorch's symmetric memory: peers read each other's memory over NVLink without NCCL.

Operators are those of torch.ops.symm_mem.
"""

import torch
import torch.distributed as dist

from traceana.bench.backends import Call, Unavailable, frameworks
from traceana.bench.buffers import Buffers
from traceana.bench.world import World


class _Symmetric:
    """All-reduce of one kind; the message is copied into symmetric memory once, before it is timed."""

    name = ""
    operator = ""
    multicast = False

    def __init__(self, world: World) -> None:
        frameworks.need_gpus(world, "symmetric memory")
        if self.multicast:
            frameworks.need_multicast()
        try:
            import torch.distributed._symmetric_memory as symmetric

            self._memory = symmetric
            self._operator = getattr(torch.ops.symm_mem, self.operator)
            self._group = dist.group.WORLD.group_name  # type: ignore[union-attr]
            probe = symmetric.empty(1024, dtype=torch.float32, device=world.device)
            handle = symmetric.rendezvous(probe, self._group)
        except (ImportError, AttributeError, RuntimeError) as error:
            raise Unavailable(f"torch {torch.__version__} cannot set it up: {str(error).splitlines()[0]}") from error
        if self.multicast and not handle.multicast_ptr:
            raise Unavailable("these GPUs have no NVLink multicast")
        self.detail = f"torch {torch.__version__} symm_mem.{self.operator}"

    def call(self, buffers: Buffers) -> Call | str:
        """See Backend."""
        if buffers.op != "all_reduce":
            return "symmetric memory is measured with all_reduce alone"
        shared = self._memory.empty(buffers.source.numel(), dtype=buffers.source.dtype, device=buffers.source.device)
        self._memory.rendezvous(shared, self._group)
        results = [shared]

        def run() -> None:
            results[0] = self._operator(shared, "sum", self._group)

        return Call(
            run=run,
            load=lambda: shared.copy_(buffers.source),
            unload=lambda: buffers.target.copy_(results[0]),
        )


class OneShot(_Symmetric):
    """Every rank reads all others' messages."""

    name = "symm_mem_one_shot"
    operator = "one_shot_all_reduce"


class TwoShot(_Symmetric):
    """Every rank reduces its part and the parts are gathered."""

    name = "symm_mem_two_shot"
    operator = "two_shot_all_reduce_"


class Multimem(_Symmetric):
    """The switch adds up: NVLink multicast, where nothing forbids it."""

    name = "symm_mem_multimem"
    operator = "multimem_all_reduce_"
    multicast = True
