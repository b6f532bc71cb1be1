"""Describes direct NCCL calls: sglang's and vLLM's PyNccl variants all end in `pynccl_wrapper.NCCLLibrary.nccl*`.

Signatures are those of sglang 0.5.23; arguments are found by name, because they drift between versions.
"""

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist

from traceana_capture.calls import CALLS, NO_SPAN

# ncclDataType_t in nccl.h -> c10d's spelling
DTYPES = ("Char", "Byte", "Int", "UInt32", "Long", "UInt64", "Half", "Float", "Double", "BFloat16")
COUNTS = ("count", "sendcount", "recvcount")
# method -> (c10d's word, how many times `count` is sent, how many times it is received; 0 stands for the group's size)
METHODS: dict[str, tuple[str, int, int]] = {
    "ncclAllReduce": ("allreduce", 1, 1),
    "ncclBroadcast": ("broadcast", 1, 1),
    "ncclAllGather": ("_allgather_base", 1, 0),
    "ncclReduceScatter": ("_reduce_scatter_base", 0, 1),
}
# count, datatype, communicator
Arguments = tuple[int, int, Any]


class Communicator:
    """An NCCL communicator of this process, and how many calls it has seen."""

    def __init__(self, name: str, size: int, library: str) -> None:
        self.name, self.size, self.library = name, size, library
        self.calls = 0

    @functools.lru_cache(maxsize=256)  # noqa: B019 - communicators are few and live as long as the process
    def keys(self, operation: str, datatype: int) -> dict[str, Any]:
        """What all calls of this kind share."""
        keys = {
            "Collective name": operation,
            "dtype": DTYPES[datatype] if datatype < len(DTYPES) else f"ncclDataType {datatype}",
            "Group size": self.size,
            "Process Group Name": self.name,
            "Process Group Description": "pynccl",
            "traceana backend": "pynccl",
            "traceana library": self.library,
        }
        if dist.is_initialized() and self.size == dist.get_world_size():
            keys["Process Group Ranks"] = str(list(range(self.size)))
        return keys

    def span(self, operation: str, datatype: int, sent: int, received: int) -> Any:
        """The span of one call; sizes in elements."""
        number, self.calls = self.calls, self.calls + 1
        if not (CALLS.recording or CALLS.capturing):
            return NO_SPAN
        return CALLS.span(self.keys(operation, datatype), sent, received, number)


class Library:
    """What is known of one NCCLLibrary class: its communicators and the point-to-point calls of the open group."""

    def __init__(self) -> None:
        self.communicators: dict[int, Communicator] = {}
        self.grouped: list[tuple[str, Arguments]] | None = None

    def communicator(self, handle: Any) -> Communicator:
        """The communicator with this handle; one of unknown size when it was made before we came."""
        key = _key(handle)
        if key not in self.communicators:
            self.communicators[key] = Communicator("pynccl", 0, "NCCL")
        return self.communicators[key]

    def add(self, handle: Any, size: int, version: str) -> None:
        """A communicator was made."""
        made = Communicator(f"pynccl{len(self.communicators)}", size, f"NCCL {version}")
        self.communicators[_key(handle)] = made


def _key(handle: Any) -> int:
    return int(getattr(handle, "value", handle) or 0)


def knows(name: str) -> bool:
    """Whether the module of this name is wrapped."""
    return name.endswith(".pynccl_wrapper")


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
        library.add(communicator, world_size, self.ncclGetVersion())
        return communicator

    return init


def _reader(original: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], Arguments]:
    """Reads a call's arguments without the cost of binding them to the signature."""
    names = list(inspect.signature(original).parameters)
    count = next(name for name in COUNTS if name in names)
    wanted = [(name, names.index(name)) for name in (count, "datatype", "comm")]

    def read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        elements, datatype, comm = (args[at] if len(args) > at else kwargs[name] for name, at in wanted)
        return int(elements), int(datatype), comm

    return read


def _collective(original: Callable[..., Any], names: tuple[str, int, int], library: Library) -> Any:
    read, (operation, sent, received) = _reader(original), names

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        CALLS.before()
        count, datatype, comm = read(args, kwargs)
        group = library.communicator(comm)
        with group.span(operation, datatype, count * (sent or group.size), count * (received or group.size)):
            return original(*args, **kwargs)

    return call


def _point_to_point(original: Callable[..., Any], method: str, library: Library) -> Any:
    read, operation = _reader(original), method.removeprefix("nccl").lower()

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        if library.grouped is not None:
            library.grouped.append((operation, read(args, kwargs)))
            return original(*args, **kwargs)
        CALLS.before()
        count, datatype, comm = read(args, kwargs)
        with library.communicator(comm).span(operation, datatype, count, count):
            return original(*args, **kwargs)

    return call


def _group_start(original: Callable[..., Any], library: Library) -> Any:
    @functools.wraps(original)
    def start(self: Any) -> Any:
        CALLS.before()
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


def _whole(library: Library, calls: list[tuple[str, Arguments]]) -> Any:
    if not calls:
        return NO_SPAN
    sends = [count for operation, (count, _, _) in calls if operation == "send"]
    receives = [count for operation, (count, _, _) in calls if operation == "recv"]
    _, datatype, comm = calls[0][1]
    group = library.communicator(comm)
    operation = "all_to_all" if len(sends) == len(receives) == group.size else "send" if sends else "recv"
    return group.span(operation, datatype, sum(sends), sum(receives))
