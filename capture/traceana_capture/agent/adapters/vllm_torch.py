"""What vLLM's CudaCommunicator does by PyNccl alone, done by torch.distributed.

Where PyNccl is off, vLLM 0.33's `reduce_scatter` answers with memory that nothing was written to, and the other methods
here end the program.
"""

from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist

from traceana_capture.agent.adapters.hooks import require
from traceana_capture.agent.frameworks import Need

COMMUNICATOR = "vllm.distributed.device_communicators.cuda_communicator"
KIND = "CudaCommunicator"
# Those that the class's base does by torch.distributed, and those that have no other way.
INHERITED = ("reduce_scatter", "broadcast")
NEEDS = tuple(
    Need(module=COMMUNICATOR, path=f"{KIND}.{name}", parameters=parameters)
    for name, parameters in {
        "reduce_scatter": ("input_", "dim"),
        "broadcast": ("tensor", "src"),
        "all_gatherv": ("input_", "dim", "sizes"),
        "reduce_scatterv": ("input_", "dim", "sizes"),
    }.items()
)


def replace(module: ModuleType, backend: str) -> None:
    """Have the class do without PyNccl; raises Refusal where it lacks what it had."""
    require(module, NEEDS, backend)
    kind: Any = getattr(module, KIND)
    for name in INHERITED:
        setattr(kind, name, getattr(kind.__base__, name))
    kind.all_gatherv, kind.reduce_scatterv = all_gatherv, reduce_scatterv
    if hasattr(kind, "reduce_scatterv_into_output"):
        kind.reduce_scatterv_into_output = kind.__base__.reduce_scatterv_into_output


def all_gatherv(self: Any, input_: Any, dim: int = 0, sizes: list[int] | None = None) -> Any:
    """The rows of all ranks, of which each has its number in `sizes`, or as many as this one; or so for each tensor."""
    if dim != 0:
        raise NotImplementedError("only dim 0 all-gatherv is supported")
    if not isinstance(input_, torch.Tensor):
        return [all_gatherv(self, tensor, dim, sizes) for tensor in input_]
    if sizes is None or len(set(sizes)) == 1:
        return self.all_gather(input_.contiguous(), 0)
    output = input_.new_empty((sum(sizes), *input_.shape[1:]))
    dist.all_gather(list(output.split_with_sizes(sizes)), input_.contiguous(), group=self.device_group)
    return output


def reduce_scatterv(self: Any, input_: torch.Tensor, dim: int = -1, sizes: list[int] | None = None) -> torch.Tensor:
    """This rank's rows of the sum, of which each rank gets its number in `sizes`, or all as many."""
    if sizes is None or len(set(sizes)) == 1:
        reduced: torch.Tensor = self.reduce_scatter(input_, dim)
        return reduced
    whole = input_.movedim(0, dim).contiguous()
    output = whole.new_empty((sizes[self.rank_in_group], *whole.shape[1:]))
    dist.reduce_scatter(output, list(whole.split_with_sizes(sizes)), group=self.device_group)
    return output.movedim(0, dim).contiguous()
