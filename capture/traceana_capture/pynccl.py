"""Describes direct NCCL calls: sglang's and vLLM's PyNccl variants all end in `pynccl_wrapper.NCCLLibrary.nccl*`.

Signatures are those of sglang 0.5.23; arguments are found by name, because they drift between versions.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist

from traceana_capture.calls import CALLS

# ncclDataType_t in nccl.h -> c10d's spelling
DTYPES = ("Char", "Byte", "Int", "UInt32", "Long", "UInt64", "Half", "Float", "Double", "BFloat16")
# method -> (c10d's word, how many times `count` is sent, how many times it is received; 0 stands for the group's size)
METHODS: dict[str, tuple[str, int, int]] = {
    "ncclAllReduce": ("allreduce", 1, 1),
    "ncclBroadcast": ("broadcast", 1, 1),
    "ncclAllGather": ("_allgather_base", 1, 0),
    "ncclReduceScatter": ("_reduce_scatter_base", 0, 1),
}


class Library:
    """What is known of one NCCLLibrary class: its communicators and the point-to-point calls of the open group."""

    def __init__(self) -> None:
        self.communicators: dict[int, tuple[str, int]] = {}
        self.version = "NCCL"
        self.grouped: list[tuple[str, dict[str, Any]]] | None = None

    def record(self, name: str, values: dict[str, Any], sent: int, received: int) -> dict[str, Any]:
        """The standard keys of one call; sizes in elements."""
        group, size = self.communicators.get(_key(values["comm"]), ("pynccl", 0))
        keys = {"Collective name": name, "In msg nelems": sent, "Out msg nelems": received, "Group size": size}
        keys |= {"dtype": DTYPES[int(values["datatype"])], "Process Group Name": group}
        keys |= {"Process Group Description": "pynccl"}
        if dist.is_initialized() and size == dist.get_world_size():
            keys["Process Group Ranks"] = str(list(range(size)))
        return keys | {"traceana backend": "pynccl", "traceana library": self.version}


def _key(communicator: Any) -> int:
    return int(getattr(communicator, "value", communicator) or 0)


def watch_library(module: ModuleType) -> None:
    """Wrap the module's NCCLLibrary."""
    kind, library = module.NCCLLibrary, Library()
    kind.ncclCommInitRank = _named(kind.ncclCommInitRank, library)
    for method, names in METHODS.items():
        if hasattr(kind, method):
            setattr(kind, method, _collective(getattr(kind, method), names, library))
    for method in ("ncclSend", "ncclRecv"):
        setattr(kind, method, _point_to_point(getattr(kind, method), method, library))
    if hasattr(kind, "ncclGroupStart"):
        kind.ncclGroupStart = _group_start(kind.ncclGroupStart, library)
        kind.ncclGroupEnd = _group_end(kind.ncclGroupEnd, library)


def _named(original: Callable[..., Any], library: Library) -> Any:
    @functools.wraps(original)
    def init(self: Any, world_size: int, *args: Any, **kwargs: Any) -> Any:
        communicator = original(self, world_size, *args, **kwargs)
        library.communicators[_key(communicator)] = (f"pynccl{len(library.communicators)}", world_size)
        library.version = f"NCCL {self.ncclGetVersion()}"
        return communicator

    return init


def _collective(original: Callable[..., Any], names: tuple[str, int, int], library: Library) -> Any:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        values = signature.bind(*args, **kwargs).arguments
        _, size = library.communicators.get(_key(values["comm"]), ("", 0))
        count = int(values.get("count", values.get("sendcount", values.get("recvcount", 0))))
        sent, received = (count * (times or size) for times in names[1:])
        with CALLS.span(library.record(names[0], values, sent, received)):
            return original(*args, **kwargs)

    return call


def _point_to_point(original: Callable[..., Any], method: str, library: Library) -> Any:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        values = signature.bind(*args, **kwargs).arguments
        if library.grouped is not None:
            library.grouped.append((method, dict(values)))
            return original(*args, **kwargs)
        count, name = int(values["count"]), method.removeprefix("nccl").lower()
        with CALLS.span(library.record(name, values, count, count)):
            return original(*args, **kwargs)

    return call


def _group_start(original: Callable[..., Any], library: Library) -> Any:
    @functools.wraps(original)
    def start(self: Any) -> Any:
        library.grouped = []
        return original(self)

    return start


def _group_end(original: Callable[..., Any], library: Library) -> Any:
    """The group's kernel is launched by its end, so the end carries the sum of the group's calls."""

    @functools.wraps(original)
    def end(self: Any) -> Any:
        calls, library.grouped = library.grouped or [], None
        with _whole(library, calls):
            return original(self)

    return end


def _whole(library: Library, calls: list[tuple[str, dict[str, Any]]]) -> Any:
    if not calls:
        return contextlib.nullcontext()
    sends = [int(values["count"]) for method, values in calls if method == "ncclSend"]
    receives = [int(values["count"]) for method, values in calls if method == "ncclRecv"]
    _, size = library.communicators.get(_key(calls[0][1]["comm"]), ("", 0))
    name = "all_to_all" if len(sends) == len(receives) == size else "send" if sends else "recv"
    return CALLS.span(library.record(name, calls[0][1], sum(sends), sum(receives)))
