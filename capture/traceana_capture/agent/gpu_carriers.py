"""What carries a copy of a call for `--paired` between GPUs of one machine: by memory that their ranks share.

A rank that has none left must find out before the others wait for it, so memory is taken before any of it is shared.
"""

import contextlib
import importlib
from collections.abc import Callable
from typing import Any

import torch

from traceana_capture.agent.carriers import Carrier, Values, is_sum, lie_on, result_of, tensors_of

IPC = "sglang.multimodal_gen.runtime.distributed.device_communicators.ipc_a2a_multi"
# As large as sglang's own buffer for two GPUs of compute capability 9.
SYMMETRIC_BYTES = 64 << 20
# Of compute capability 9 and 10, where sglang has NVLink's switch add them, if it can.
SWITCHED_RANKS, SWITCHED_CAPABILITIES = (4, 6, 8), (9, 10)
# What sglang's kernels of the custom all-reduce know, and what torch's of symmetric memory do.
CUSTOM_DTYPES = (torch.float16, torch.bfloat16, torch.float32)
SYMMETRIC_DTYPES = (torch.bfloat16, torch.float32)
# Room for the flags of an exchange by CUDA IPC, in the allocator's pool of small blocks.
SMALL_BYTES = 1 << 19


class Custom(Carrier):
    """Sglang's custom all-reduce of the group, whose result is a new tensor; it was set up with the group."""

    def __init__(self, communicator: Any) -> None:
        self._communicator = communicator
        # At its end it waits for the other ranks, whose end may be another.
        communicator.close = _nothing

    def carries(self, function: str, values: Values) -> bool:
        """What sglang's GroupCoordinator gives it and its own policy takes; may compile the kernel of a type."""
        if not is_sum(function, values):
            return False
        tensor: torch.Tensor = values["tensor"]
        known = tensor.dtype in CUSTOM_DTYPES and tensor.numel() > 0
        alike = known and lie_on([tensor], self._communicator.device)
        return alike and bool(self._communicator.should_custom_ar(tensor))

    def makes_result(self, function: str) -> bool:
        """Always."""
        del function
        return True

    def issue(self, function: Callable[..., Any], values: Values, received: str) -> torch.Tensor:
        """See Carrier."""
        del function, received
        return result_of(self._communicator.custom_all_reduce(values["tensor"]))


class Symmetric(Carrier):
    """Torch's symmetric memory, as sglang's language runtime uses it: copied into it, reduced there, copied out."""

    def __init__(self, group_name: str, ranks: int, device: Any) -> None:
        self._group_name, self._ranks, self._device = group_name, ranks, device
        self._buffer: torch.Tensor | None = None
        self._reduce: Any = None

    def carries(self, function: str, values: Values) -> bool:
        """See Carrier."""
        if not is_sum(function, values):
            return False
        tensor: torch.Tensor = values["tensor"]
        size = tensor.numel() * tensor.element_size()
        known = tensor.dtype in SYMMETRIC_DTYPES and tensor.is_contiguous() and lie_on([tensor], self._device)
        # 16 bytes at a time.
        return known and 0 < size <= SYMMETRIC_BYTES and size % 16 == 0

    def is_ready(self, values: Values) -> bool:
        """See Carrier."""
        del values
        return self._reduce is not None

    def allocate(self, values: Values) -> None:
        """See Carrier."""
        del values
        if self._buffer is None:
            self._buffer = _symmetric().empty(SYMMETRIC_BYTES, dtype=torch.uint8, device=self._device)

    def share(self, values: Values) -> None:
        """See Carrier."""
        del values
        if self._reduce is None:
            handle = _symmetric().rendezvous(self._buffer, self._group_name)
            switched = handle.multicast_ptr and self._ranks in SWITCHED_RANKS and _capability() in SWITCHED_CAPABILITIES
            kernels = torch.ops.symm_mem
            self._reduce = kernels.multimem_all_reduce_ if switched else kernels.two_shot_all_reduce_

    def issue(self, function: Callable[..., Any], values: Values, received: str) -> torch.Tensor:
        """See Carrier."""
        del function
        tensor = result_of(values[received])
        assert self._buffer is not None
        shared = self._buffer[: tensor.numel() * tensor.element_size()].view(tensor.dtype)
        shared.copy_(tensor.view(-1))
        self._reduce(shared, "sum", self._group_name)
        tensor.view(-1).copy_(shared)
        return tensor


class Ipc(Carrier):
    """Sglang's exchange by CUDA IPC; its result is in a buffer that the call after the next one writes again.

    The program has one state of it in the process, of which each of its requests asks whether it still works; this is
    another, whose ranks meet in `sharing`.
    """

    def __init__(self, ranks: int, device: Any, sharing: Any) -> None:
        self._ranks, self._device, self._sharing = ranks, device, sharing
        self._module = importlib.import_module(IPC)
        self._state = self._module.IpcA2AMultiState()
        self._reserved: list[torch.Tensor] = []
        # Compiling takes longer than a window; what fails here fails again where the ranks can agree on it.
        with contextlib.suppress(Exception):
            self._module.load_ipc_a2a_sync()

    def carries(self, function: str, values: Values) -> bool:
        """Equal parts, as those of Ulysses are."""
        if function != "all_to_all_single" or not lie_on(tensors_of(values), self._device):
            return False
        sent, result = values["input"], values["output"]
        same = result.dtype == sent.dtype and result.numel() == sent.numel()
        parts = [values.get(name) for name in ("output_split_sizes", "input_split_sizes")]
        equal = same and sent.numel() > 0 and sent.numel() % self._ranks == 0 and not any(parts)
        return equal and sent.is_contiguous() and result.is_contiguous()

    def is_ready(self, values: Values) -> bool:
        """Whether the buffers of this size are still kept; of those of many sizes, the oldest are not."""
        return (self._part(values), values["input"].dtype) in self._state.staging

    def allocate(self, values: Values) -> None:
        """Take what sglang will take."""
        self._module.load_ipc_a2a_sync()
        zeros, dtype = self._module.ipc_shareable_zeros, values["input"].dtype
        if not self.is_ready(values):
            self._reserved = [zeros(2, self._ranks, self._part(values), dtype=dtype)]
            self._reserved += [zeros(SMALL_BYTES, dtype=torch.uint8)]

    def share(self, values: Values) -> None:
        """See Carrier."""
        # Torch's allocator keeps it for who asks next.
        self._reserved = []
        if not self._state.inited:
            self._state.init(self._sharing)
        if self._state.get_staging(self._part(values), values["input"].dtype) is None:
            raise RuntimeError("sglang has no buffers for an exchange by CUDA IPC while a CUDA graph is captured")

    def issue(self, function: Callable[..., Any], values: Values, received: str) -> torch.Tensor:
        """See Carrier."""
        del function
        exchanged = self._state.exchange(values["input"].view(self._ranks, -1))
        return result_of(exchanged).view(values[received].shape)

    def _part(self, values: Values) -> int:
        """Elements for each rank."""
        return int(values["input"].numel()) // self._ranks


def room_for(size: int, device: Any) -> None:
    """Raise MemoryError where the GPU has not so many bytes left outside of torch's own allocator."""
    if torch.device(device).type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if free < size:
            raise MemoryError(f"{free >> 20} MiB of the GPU's memory are free, and {size >> 20} are needed")


def _symmetric() -> Any:
    return importlib.import_module("torch.distributed._symmetric_memory")


def _capability() -> int:
    return torch.cuda.get_device_capability()[0]


def _nothing() -> None:
    pass
