"""Sends c10d's collectives to the PyNccl communicator of the same ranks, where an adapter registered one."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from traceana_capture.agent.call_notes import CALLS

# What adapters did in this process, and the communicators that they found, by global ranks.
ADAPTERS: list[str] = []
# What is wrong with other packages' adapters.
FAULTS: list[str] = []
COMMUNICATORS: dict[tuple[int, ...], Any] = {}
# What PyNccl knows of NCCL's types and reductions, in sglang 0.5.23.
DTYPES = frozenset(
    [torch.int8, torch.uint8, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64, torch.bfloat16]
)
_OPS = dist.ReduceOp
REDUCTIONS = (_OPS.SUM, _OPS.PRODUCT, _OPS.MAX, _OPS.MIN, _OPS.AVG)


def took(adapter: str) -> None:
    """An adapter changed something here."""
    if adapter not in ADAPTERS:
        ADAPTERS.append(adapter)


class Issued(dist.Work):
    """C10d's Work of a call that PyNccl issued on the current stream: there is nothing left to wait for."""

    def __init__(self, results: list[torch.Tensor]) -> None:
        super().__init__()
        self._results = results
        devices: list[Any] = sorted({tensor.device for tensor in results if tensor.is_cuda}, key=str)
        self._future: torch.futures.Future[list[torch.Tensor]] = torch.futures.Future(devices=devices)
        self._future.set_result(results)

    def wait(self, timeout: Any = None) -> bool:
        """Return at once: what comes after on this stream comes after the call."""
        del timeout
        return True

    def synchronize(self) -> None:
        """Nothing is on another stream."""

    def is_completed(self) -> bool:
        """Whether it was issued; as with NCCL's, the GPU may still be at it."""
        return True

    def is_success(self) -> bool:
        """It was issued without an error."""
        return True

    def exception(self) -> Any:
        """None: PyNccl raises its errors where it is called."""
        return None

    def result(self) -> list[torch.Tensor]:
        """The tensors that were received."""
        return self._results

    def get_future(self) -> Any:
        """One that is done, whose value is the result; callbacks run on a stream that waits for this one."""
        return self._future

    def get_future_result(self) -> Any:
        """One that is done, with c10d's number for success."""
        future: torch.futures.Future[int] = torch.futures.Future()
        future.set_result(0)
        return future

    def block_current_stream(self) -> None:
        """The call is on that stream."""


def register(ranks: tuple[int, ...], communicator: Any) -> None:
    """Have this communicator carry the collectives of these ranks from now on."""
    COMMUNICATORS[ranks] = communicator
    CALLS.routed = True
    CALLS.listen()


def carries(function: str, tensors: list[torch.Tensor], values: dict[str, Any]) -> bool:
    """Whether PyNccl can do the call; it checks less than c10d, and would read or write beyond a tensor's end."""
    return (
        len({(tensor.dtype, tensor.device) for tensor in tensors}) == 1
        and tensors[0].dtype in DTYPES
        and all(tensor.numel() for tensor in tensors)
        and all(tensor.is_contiguous() for tensor in tensors)
        and values.get("op", dist.ReduceOp.SUM) in REDUCTIONS
        and _fits(function, tensors, values)
    )


def _fits(function: str, tensors: list[torch.Tensor], values: dict[str, Any]) -> bool:
    """Whether a gather's or scatter's tensors have sizes that belong together; PyNccl checks those of all-to-all."""
    if not function.startswith(("all_gather", "reduce_scatter")):
        return True
    received, sent = (tensor.numel() for tensor in tensors)
    size = len(dist.get_process_group_ranks(values.get("group")))
    return received == sent * size if function.startswith("all_gather") else received * size == sent


def _communicator(group: Any) -> Any:
    """The communicator of the group's ranks, or None; sglang disables one for a while at times."""
    found = COMMUNICATORS.get(tuple(dist.get_process_group_ranks(group)))
    return None if getattr(found, "disabled", False) else found


def _source(values: dict[str, Any]) -> int:
    if values.get("group_src") is not None:
        return int(values["group_src"])
    group = values.get("group")
    return int(values["src"] if group is None else dist.get_group_rank(group, values["src"]))


def _all_reduce(pynccl: Any, values: dict[str, Any], stream: Any) -> None:
    # PyNccl's is out of place, c10d's is not.
    reduced = pynccl.all_reduce(values["tensor"], values.get("op", dist.ReduceOp.SUM), stream)
    values["tensor"].copy_(reduced)


def _broadcast(pynccl: Any, values: dict[str, Any], stream: Any) -> None:
    pynccl.broadcast(values["tensor"], _source(values), stream)


def _all_gather(pynccl: Any, values: dict[str, Any], stream: Any) -> None:
    received, sent = list(values.values())[:2]
    pynccl.all_gather(received, sent, stream)


def _reduce_scatter(pynccl: Any, values: dict[str, Any], stream: Any) -> None:
    received, sent = list(values.values())[:2]
    pynccl.reduce_scatter(received, sent, values.get("op", dist.ReduceOp.SUM), stream)


def _all_to_all(pynccl: Any, values: dict[str, Any], stream: Any) -> None:
    splits = (values.get("output_split_sizes"), values.get("input_split_sizes"))
    pynccl.all_to_all_single(values["output"], values["input"], *splits, stream)


ROUTES: dict[str, Callable[[Any, dict[str, Any], Any], None]] = {
    "all_reduce": _all_reduce,
    "broadcast": _broadcast,
    "all_gather_into_tensor": _all_gather,
    "all_gather_single": _all_gather,
    "reduce_scatter_tensor": _reduce_scatter,
    "reduce_scatter_single": _reduce_scatter,
    "all_to_all_single": _all_to_all,
}


def send(function: str, values: dict[str, Any]) -> bool:
    """Issue the call through PyNccl, where a communicator takes it; `values` are in the signature's order."""
    tensors = [value for value in values.values() if isinstance(value, torch.Tensor)]
    if function not in ROUTES or tensors[0].device.type != "cuda":
        return False
    try:
        pynccl = _communicator(values.get("group"))
        possible = pynccl is not None and carries(function, tensors, values)
    except Exception:  # a group that is none: c10d says it better
        return False
    if possible:
        ROUTES[function](pynccl, values, torch.cuda.current_stream())
    return possible
