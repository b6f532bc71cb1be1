"""Custom all-reduce: sglang's and vLLM's kernels over the peers' memory, for messages that are small enough."""

import importlib
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist

from traceana.bench.backends import Call, Unavailable, frameworks
from traceana.bench.buffers import Buffers
from traceana.bench.world import World


class _Custom:
    """A class with should_custom_ar, custom_all_reduce (a new tensor) and capture, as both frameworks have it."""

    name = ""
    module = ""
    kind = ""

    def __init__(self, world: World) -> None:
        frameworks.need_gpus(world, "custom all-reduce")
        # sglang's own check of peer access needs all of its groups; torch has made sure of it.
        os.environ.setdefault("SGLANG_SKIP_P2P_CHECK", "1")
        self._communicator = frameworks.made(
            world, self.module, self.kind, dist.new_group(backend="gloo"), world.device
        )
        package = self.module.partition(".")[0]
        if getattr(self._communicator, "disabled", False):
            raise Unavailable(f"{package} {frameworks.release(package)} {self._why()}")
        self.detail = f"{self.kind} of {package} {frameworks.release(package)}"

    def _why(self) -> str:
        """vLLM's class is disabled as well where its compiled kernels are not there, which its module then says."""
        if not getattr(importlib.import_module(self.module), "custom_ar", True):
            return "has no compiled kernels here"
        return "takes it for impossible on these GPUs"

    def call(self, buffers: Buffers) -> Call | str:
        """See Backend."""
        if buffers.op != "all_reduce":
            return "it is an all-reduce"
        if not self._communicator.should_custom_ar(buffers.source):
            return "its own policy leaves larger messages, and such of odd sizes, to NCCL"
        results: list[Any] = [buffers.target]
        return Call(
            run=partial(self._run, buffers.source, results),
            unload=lambda: buffers.target.copy_(results[0]),
            capturing=self._communicator.capture,
        )

    def _run(self, source: torch.Tensor, results: list[Any]) -> None:
        method: Callable[[torch.Tensor], Any] = self._communicator.custom_all_reduce
        results[0] = method(source)


class SglangCustom(_Custom):
    """Compiled at first use by sglang."""

    name = "sglang_custom"
    module = "sglang.srt.distributed.device_communicators.custom_all_reduce_v2"
    kind = "CustomAllReduceV2"


class VllmCustom(_Custom):
    """Needs vLLM's compiled kernels."""

    name = "vllm_custom"
    module = "vllm.distributed.device_communicators.custom_all_reduce"
    kind = "CustomAllreduce"
