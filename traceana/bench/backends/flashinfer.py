"""flashinfer's all-reduce, TensorRT-LLM's kernels: its unified interface without anything fused.

Interface: create_allreduce_fusion_workspace and allreduce_fusion of flashinfer.comm (0.7).
"""

from typing import Any

import torch.distributed as dist

from traceana.bench.backends import Call, frameworks
from traceana.bench.buffers import Buffers
from traceana.bench.world import World

_COMM = "flashinfer.comm"
_HIDDEN = 4096
"""Elements of a token: messages are given as tokens of this size."""
_MOST_TOKENS = 2048


class Flashinfer:
    """Messages up to 2048 tokens of 4096 elements, in whole tokens."""

    name = "flashinfer"

    def __init__(self, world: World) -> None:
        frameworks.need_gpus(world, "flashinfer")
        self._all_reduce = frameworks.found(_COMM, "allreduce_fusion")
        self._pattern = frameworks.found(_COMM, "AllReduceFusionPattern").kAllReduce
        # Its workspace is multicast memory.
        frameworks.need_multicast()
        self.world = world
        self._workspaces: dict[Any, Any] = {}
        self.detail = f"flashinfer {frameworks.release('flashinfer-python')}, trtllm kernels"

    def call(self, buffers: Buffers) -> Call | str:
        """See Backend."""
        if buffers.op != "all_reduce":
            return "flashinfer is measured with all_reduce alone"
        tokens, rest = divmod(buffers.source.numel(), _HIDDEN)
        if rest or not 0 < tokens <= _MOST_TOKENS:
            return f"it takes 1 to {_MOST_TOKENS} tokens of {_HIDDEN} elements"
        workspace = self._workspace(buffers)
        source, target = (one.view(tokens, _HIDDEN) for one in (buffers.source, buffers.target))
        results: list[Any] = [target]

        def run() -> None:
            results[0] = self._all_reduce(input=source, workspace=workspace, pattern=self._pattern, output=target)

        return Call(run=run, unload=lambda: target.copy_(results[0]))

    def _workspace(self, buffers: Buffers) -> Any:
        dtype = buffers.source.dtype
        if dtype not in self._workspaces:
            create = frameworks.found(_COMM, "create_allreduce_fusion_workspace")
            self._workspaces[dtype] = create(
                backend="trtllm",
                world_size=self.world.size,
                rank=self.world.rank,
                max_token_num=_MOST_TOKENS,
                hidden_dim=_HIDDEN,
                dtype=dtype,
                group=dist.group.WORLD,
            )
        return self._workspaces[dtype]
