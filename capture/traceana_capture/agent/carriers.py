"""What carries a copy of a call for `--paired`: a class for each backend, which is given a call of c10d.

All but torch.distributed carry some calls only. A result may be a new tensor: it is where the framework would find it.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from traceana_capture.agent import routes

# A call that c10d was asked for: its name, and its arguments in the signature's order.
Values = dict[str, Any]
_SUM = dist.ReduceOp.SUM


class Carrier:
    """Carries calls of one group; what a kind of call needs is set up once, by `allocate` and then `share`."""

    def carries(self, function: str, values: Values) -> bool:
        """Whether it takes this call, by what every rank of the group knows alike."""
        raise NotImplementedError

    def makes_result(self, function: str) -> bool:
        """Whether a call takes memory for a result of its own."""
        del function
        return False

    def is_ready(self, values: Values) -> bool:
        """Whether all that was set up for such calls is still there, on all ranks alike."""
        del values
        return True

    def allocate(self, values: Values) -> None:
        """Take this rank's own part of what such calls need; may raise, on one rank alone."""

    def share(self, values: Values) -> None:
        """Exchange it, on all ranks together, each of which allocated its own; may raise."""

    def issue(self, function: Callable[..., Any], values: Values, received: str) -> torch.Tensor:
        """Run the call and give its result, which stands in `values[received]` where it goes there."""
        raise NotImplementedError


class Torch(Carrier):
    """Torch.distributed itself."""

    def carries(self, function: str, values: Values) -> bool:
        """All."""
        del function, values
        return True

    def issue(self, function: Callable[..., Any], values: Values, received: str) -> torch.Tensor:
        """See Carrier."""
        function(**values | {"async_op": False})
        return result_of(values[received])


class PyNccl(Carrier):
    """The framework's PyNccl communicator of the group."""

    def __init__(self, communicator: Any) -> None:
        self._communicator = communicator

    def carries(self, function: str, values: Values) -> bool:
        """See Carrier."""
        tensors = tensors_of(values)
        return lie_on(tensors, self._communicator.device) and routes.carries(function, tensors, values)

    def makes_result(self, function: str) -> bool:
        """Its all-reduce is out of place."""
        return function == "all_reduce"

    def issue(self, function: Callable[..., Any], values: Values, received: str) -> torch.Tensor:
        """See Carrier."""
        tensor = result_of(values[received])
        stream: Any = torch.cuda.current_stream() if tensor.is_cuda else None
        routes.ROUTES[function.__name__](self._communicator, values, stream)
        return tensor


def tensors_of(values: Values) -> list[torch.Tensor]:
    """The call's tensors."""
    return [value for value in values.values() if isinstance(value, torch.Tensor)]


def lie_on(tensors: list[torch.Tensor], device: Any) -> bool:
    """Whether all are on the group's device: a program also sends what is on the host."""
    wanted = torch.device(device)
    devices = {tensor.device for tensor in tensors}
    return all(one.type == wanted.type and wanted.index in (None, one.index) for one in devices)


def is_sum(function: str, values: Values) -> bool:
    """Whether the call is a sum over ranks."""
    return function == "all_reduce" and values.get("op", _SUM) == _SUM


def result_of(value: Any) -> torch.Tensor:
    """The tensor that a call gave; raises TypeError where it gave none."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"no result, but {value!r}")
    return value
