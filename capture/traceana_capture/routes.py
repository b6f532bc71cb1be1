"""Sends c10d's collectives to the PyNccl communicator of the same ranks, where an adapter registered one."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

# What adapters did in this process, and the communicators that they found, by global ranks.
ADAPTERS: list[str] = []
COMMUNICATORS: dict[tuple[int, ...], Any] = {}


def took(adapter: str) -> None:
    """An adapter changed something here."""
    if adapter not in ADAPTERS:
        ADAPTERS.append(adapter)


class Issued:
    """Stands for c10d's Work: PyNccl works on the current stream, so there is nothing left to wait for."""

    def wait(self, *_: Any, **__: Any) -> bool:
        """Return at once."""
        return True

    def is_completed(self) -> bool:
        """Whether it was issued."""
        return True


def communicator(tensor: torch.Tensor, group: Any) -> Any:
    """The communicator that takes this call, or None."""
    if not COMMUNICATORS or tensor.device.type != "cuda":
        return None
    return COMMUNICATORS.get(tuple(dist.get_process_group_ranks(group)))


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


def send(function: str, tensor: torch.Tensor, values: dict[str, Any]) -> Issued | None:
    """Issue the call through PyNccl; None when no communicator takes it. `values` are in the signature's order."""
    route, pynccl = ROUTES.get(function), communicator(tensor, values.get("group"))
    if route is None or pynccl is None:
        return None
    route(pynccl, values, torch.cuda.current_stream())
    return Issued()
