"""What vLLM's two FlashInfer communicators import of flashinfer 0.7.2, by gloo.

Arguments have its names and places, as far as vLLM gives any; the launches of each of the two are counted.
"""

import importlib
import sys
from importlib.machinery import ModuleSpec
from typing import Any

import torch
import torch.distributed as dist

COMMUNICATORS = "vllm.distributed.device_communicators."
USERS = tuple(f"{COMMUNICATORS}flashinfer_{name}" for name in ("all_reduce", "pcie_ipc_all_reduce"))
LAUNCHES: dict[str, int] = {"mnnvl": 0, "pcie_ipc": 0}


class AllReduceFusionPattern:
    kAllReduce = 0


class TorchDistBackend:
    def __init__(self, group: Any | None = None) -> None:
        self._group = group


class MNNVLAllReduceFusionWorkspace:
    backend, mc_ptr = "mnnvl", 1

    def __init__(self, max_token_num: int, hidden_dim: int, dtype: torch.dtype) -> None:
        # Three buffers, which take turns.
        self._bytes = max_token_num * hidden_dim * dtype.itemsize // 3

    def is_buffer_size_sufficient(
        self, tp_size: int, num_tokens: int, hidden_dim: int, dtype: torch.dtype, strategy: Any = None
    ) -> bool:
        del tp_size, strategy
        return num_tokens * hidden_dim * dtype.itemsize <= self._bytes

    def destroy(self) -> None: ...


def create_allreduce_fusion_workspace(
    backend: str = "auto",
    world_size: Any = None,
    rank: Any = None,
    max_token_num: Any = None,
    hidden_dim: Any = None,
    dtype: Any = None,
    gpus_per_node: Any = None,
    comm_backend: Any = None,
    force_oneshot_support: bool = False,
    group: Any = None,
) -> MNNVLAllReduceFusionWorkspace:
    del gpus_per_node, force_oneshot_support, rank
    assert (backend, world_size) == ("mnnvl", dist.get_world_size(group))
    # Their handles are told to the group's ranks.
    dist.all_gather_object([None] * world_size, backend, group=comm_backend._group)
    return MNNVLAllReduceFusionWorkspace(max_token_num, hidden_dim, dtype)


def allreduce_fusion(
    input: torch.Tensor,
    workspace: MNNVLAllReduceFusionWorkspace,
    pattern: int,
    launch_with_pdl: bool = False,
    trigger_completion_at_end: bool = True,
    output: torch.Tensor | None = None,
) -> torch.Tensor:
    del launch_with_pdl, trigger_completion_at_end
    assert (pattern, input.dim()) == (AllReduceFusionPattern.kAllReduce, 2)
    LAUNCHES[workspace.backend] += 1
    output = torch.empty_like(input) if output is None else output
    return output.copy_(summed(input))


class PcieIpcAllReduceWorkspace:
    def __init__(
        self,
        group: Any,
        max_numel: int,
        dtype: torch.dtype = torch.bfloat16,
        max_blocks: int = 1,
        profile: str | None = None,
        tune_batches: Any = None,
        tune_cache: str | None = None,
    ) -> None:
        del max_blocks, profile, tune_cache
        self._group, self._most, self._dtype, self._batches = group, max_numel, dtype, tune_batches
        self._resolved: set[torch.Size] = set()

    def rebind_stream(self) -> None: ...

    def supports(self, inp: torch.Tensor) -> bool:
        return inp.dtype == self._dtype and inp.is_contiguous() and inp.numel() <= self._most

    def _resolve(self, shape: torch.Size) -> None:
        """The ranks agree on a shape's launch before its first."""
        if shape not in self._resolved:
            self._resolved.add(shape)
            dist.all_reduce(torch.zeros(2, dtype=torch.int64), op=dist.ReduceOp.MAX, group=self._group)

    def tune(
        self,
        hiddens: Any,
        *,
        dtype: torch.dtype = torch.bfloat16,
        cache: str | None = None,
        tune_group: Any = None,
        warmup: int = 1,
        repeat: int = 1,
    ) -> dict[Any, Any]:
        del cache, warmup, repeat
        for hidden in hiddens:
            for batch in self._batches:
                self._launch(torch.zeros(batch, hidden, dtype=dtype))
        dist.all_reduce(torch.zeros(1), group=tune_group)
        return {}

    def prepare(self, shapes: Any, *, dtype: torch.dtype = torch.bfloat16) -> dict[Any, Any]:
        del dtype
        for shape in shapes:
            self._resolve(torch.Size(shape))
        return {}

    def _launch(self, inp: torch.Tensor) -> torch.Tensor:
        LAUNCHES["pcie_ipc"] += 1
        return summed(inp)

    def all_reduce(
        self, inp: torch.Tensor, *, out: torch.Tensor | None = None, config: Any = None, enable_pdl: bool = False
    ) -> torch.Tensor:
        assert (config, enable_pdl, self.supports(inp)) == (None, False, True)
        self._resolve(inp.shape)
        return (torch.empty_like(inp) if out is None else out).copy_(self._launch(inp))

    def destroy(self) -> None: ...


def summed(tensor: torch.Tensor) -> torch.Tensor:
    """The ranks' sum, by the group itself, whose methods capture does not see."""
    reduced: torch.Tensor = importlib.import_module("vllm_stubs").reduced(tensor)
    return reduced


def install() -> None:
    """Have vLLM find flashinfer, and its two communicators take tensors for those of a GPU."""
    stubs: Any = importlib.import_module("vllm_stubs")
    package = stubs.module("flashinfer", __spec__=ModuleSpec("flashinfer", None))
    package.__path__ = []
    stubs.module(
        "flashinfer.comm",
        AllReduceFusionPattern=AllReduceFusionPattern,
        PcieIpcAllReduceWorkspace=PcieIpcAllReduceWorkspace,
        allreduce_fusion=allreduce_fusion,
        create_allreduce_fusion_workspace=create_allreduce_fusion_workspace,
    ).__path__ = []
    stubs.module("flashinfer.comm.mnnvl", TorchDistBackend=TorchDistBackend)
    tensor: Any = torch.Tensor
    tensor.is_cuda = property(lambda _: sys._getframe(1).f_globals["__name__"] in USERS)
