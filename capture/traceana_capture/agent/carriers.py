"""What carries a copy of a call for `--paired`: a class for each backend, which is given a call of c10d.

All but torch.distributed carry some calls only. A result may be a new tensor: it is where the framework would find it.
"""

import contextlib
import importlib
from collections.abc import Callable
from typing import Any, Protocol

import torch
import torch.distributed as dist

from traceana_capture.agent import routes

# A call that c10d was asked for: its name, and its arguments in the signature's order.
Values = dict[str, Any]
IPC = "sglang.multimodal_gen.runtime.distributed.device_communicators.ipc_a2a_multi"
# As large as sglang's own buffer for two GPUs of compute capability 9.
SYMMETRIC_BYTES = 64 << 20
_SUM = dist.ReduceOp.SUM


class Carrier(Protocol):
    """Carries calls of one group."""

    def carries(self, function: str, values: Values) -> bool:
        """Whether it takes this call, by what every rank of the group knows alike."""

    def prepare(self, values: Values) -> None:
        """Set up what the first call needs, on all ranks together; raises RuntimeError where it cannot be had."""

    def issue(self, function: Callable[..., Any], values: Values, received: str) -> torch.Tensor:
        """Run the call and give its result, which stands in `values[received]` where it goes there."""


def tensors_of(values: Values) -> list[torch.Tensor]:
    """The call's tensors."""
    return [value for value in values.values() if isinstance(value, torch.Tensor)]


class Torch:
    """Torch.distributed itself."""

    def carries(self, function: str, values: Values) -> bool:
        """All."""
        del function, values
        return True

    def prepare(self, values: Values) -> None:
        """Nothing."""

    def issue(self, function: Callable[..., Any], values: Values, received: str) -> torch.Tensor:
        """See Carrier."""
        function(**values | {"async_op": False})
        return _tensor(values[received])


class PyNccl:
    """The framework's PyNccl communicator of the group."""

    def __init__(self, communicator: Any) -> None:
        self._communicator = communicator

    def carries(self, function: str, values: Values) -> bool:
        """See Carrier."""
        return routes.carries(function, tensors_of(values), values)

    def prepare(self, values: Values) -> None:
        """Nothing."""

    def issue(self, function: Callable[..., Any], values: Values, received: str) -> torch.Tensor:
        """See Carrier."""
        tensor = _tensor(values[received])
        stream: Any = torch.cuda.current_stream() if tensor.is_cuda else None
        routes.ROUTES[function.__name__](self._communicator, values, stream)
        return tensor


class Custom:
    """Sglang's custom all-reduce of the group, whose result is a new tensor."""

    def __init__(self, communicator: Any) -> None:
        self._communicator = communicator

    def carries(self, function: str, values: Values) -> bool:
        """What its own policy takes."""
        return _is_sum(function, values) and bool(self._communicator.should_custom_ar(values["tensor"]))

    def prepare(self, values: Values) -> None:
        """Nothing: its kernel is compiled at its first call, which is not timed."""

    def issue(self, function: Callable[..., Any], values: Values, received: str) -> torch.Tensor:
        """See Carrier."""
        del function, received
        return _tensor(self._communicator.custom_all_reduce(values["tensor"]))


class Symmetric:
    """Torch's symmetric memory, as sglang's language runtime uses it: copied into it, reduced there, copied out."""

    def __init__(self, group_name: str) -> None:
        self._group_name = group_name
        self._buffer: torch.Tensor | None = None

    def carries(self, function: str, values: Values) -> bool:
        """See Carrier."""
        tensor: torch.Tensor = values["tensor"]
        size = tensor.numel() * tensor.element_size()
        known = tensor.dtype in (torch.bfloat16, torch.float32) and tensor.is_contiguous()
        # 16 bytes at a time.
        return _is_sum(function, values) and known and 0 < size <= SYMMETRIC_BYTES and size % 16 == 0

    def prepare(self, values: Values) -> None:
        """Give all ranks the buffer."""
        if self._buffer is None:
            symmetric: Any = importlib.import_module("torch.distributed._symmetric_memory")
            buffer = symmetric.empty(SYMMETRIC_BYTES, dtype=torch.uint8, device=values["tensor"].device)
            symmetric.rendezvous(buffer, self._group_name)
            self._buffer = buffer

    def issue(self, function: Callable[..., Any], values: Values, received: str) -> torch.Tensor:
        """See Carrier."""
        del function
        tensor = _tensor(values[received])
        assert self._buffer is not None
        shared = self._buffer[: tensor.numel() * tensor.element_size()].view(tensor.dtype)
        shared.copy_(tensor.view(-1))
        torch.ops.symm_mem.two_shot_all_reduce_(shared, "sum", self._group_name)
        tensor.view(-1).copy_(shared)
        return tensor


class Ipc:
    """Sglang's exchange by CUDA IPC; its result is in a buffer that the call after the next one writes again."""

    def __init__(self) -> None:
        # Compiling takes longer than a window; what fails here fails again where the ranks can agree on it.
        with contextlib.suppress(Exception):
            importlib.import_module(IPC).load_ipc_a2a_sync()

    def carries(self, function: str, values: Values) -> bool:
        """Equal parts, as those of Ulysses are."""
        sent: torch.Tensor = values["input"]
        same = values["output"].dtype == sent.dtype and values["output"].numel() == sent.numel()
        size = dist.get_world_size(values.get("group"))
        parts = [values.get(name) for name in ("output_split_sizes", "input_split_sizes")]
        equal = same and sent.numel() > 0 and sent.numel() % size == 0 and not any(parts)
        return function == "all_to_all_single" and equal and sent.is_contiguous()

    def prepare(self, values: Values) -> None:
        """See Carrier; the ranks agree on whether it can be had."""
        if not importlib.import_module(IPC).ipc_a2a_multi_ready(values.get("group"), enabled=True):
            raise RuntimeError("sglang cannot set up CUDA IPC between these ranks; its own log says why")

    def issue(self, function: Callable[..., Any], values: Values, received: str) -> torch.Tensor:
        """See Carrier."""
        del function
        sent, result = values["input"], _tensor(values[received])
        exchanged = importlib.import_module(IPC).IPC_A2A_MULTI.exchange(
            sent.view(dist.get_world_size(values.get("group")), -1)
        )
        return _tensor(exchanged.view(result.shape))


def _is_sum(function: str, values: Values) -> bool:
    return function == "all_reduce" and values.get("op", _SUM) == _SUM


def _tensor(value: Any) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"no result, but {value!r}")
    return value
