"""Describes direct NCCL calls: sglang's and vLLM's PyNccl variants all end in `pynccl_wrapper.NCCLLibrary.nccl*`.

Signatures are those of sglang 0.5.23 and vLLM 0.33; arguments are found by name, because they drift between versions.
"""

import contextlib
import ctypes
import functools
import inspect
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist

from traceana_capture.agent.call_notes import CALLS, NO_SPAN
from traceana_capture.agent.choices import MAKING

# ncclDataType_t in nccl.h -> c10d's spelling
DTYPES = ("Char", "Byte", "Int", "UInt32", "Long", "UInt64", "Half", "Float", "Double", "BFloat16")
COUNTS = ("count", "sendcount", "recvcount")
# method -> (c10d's word, how many times `count` is sent, how many times it is received; 0 stands for the group's size)
METHODS: dict[str, tuple[str, int, int]] = {
    "ncclAllReduce": ("allreduce", 1, 1),
    "ncclBroadcast": ("broadcast", 1, 1),
    "ncclReduce": ("reduce", 1, 1),
    "ncclAllGather": ("_allgather_base", 1, 0),
    "ncclReduceScatter": ("_reduce_scatter_base", 0, 1),
}
# count, datatype, communicator
Arguments = tuple[int, int, Any]


class Communicator:
    """An NCCL communicator of this process, and how many calls it has seen; of size 0 where that is not known."""

    def __init__(self, name: str, size: int, library: str) -> None:
        self.name, self.size, self.library = name, size, library
        self.calls = 0

    @functools.lru_cache(maxsize=256)  # noqa: B019 - communicators are few and live as long as the process
    def keys(self, operation: str, datatype: int, making: bool = False) -> dict[str, Any]:
        """What all calls of this kind share; with `making` they are those of a framework that makes a group."""
        keys: dict[str, Any] = {
            "Collective name": operation,
            "dtype": DTYPES[datatype] if datatype < len(DTYPES) else f"ncclDataType {datatype}",
            "Process Group Name": self.name,
            "Process Group Description": "pynccl",
            "traceana backend": "pynccl",
            "traceana library": self.library,
        }
        if self.size:
            keys["Group size"] = self.size
        if making:
            keys[MAKING] = True
        if dist.is_initialized() and self.size == dist.get_world_size():
            keys["Process Group Ranks"] = str(list(range(self.size)))
        return keys

    def span(self, operation: str, datatype: int, sent: int | None, received: int | None) -> Any:
        """The span of one call; sizes in elements, None where they are not known."""
        number, self.calls = self.calls, self.calls + 1
        if not (CALLS.recording or CALLS.capturing):
            return NO_SPAN
        return CALLS.span(self.keys(operation, datatype, CALLS.making.call), sent, received, number)


class _Open(threading.local):
    """The groups that this thread began, one inside another, and their point-to-point calls."""

    def __init__(self) -> None:
        self.depth = 0
        self.calls: list[tuple[str, Arguments]] = []

    def take(self) -> list[tuple[str, Arguments]]:
        """The calls of the group that ends."""
        calls, self.calls = self.calls, []
        return calls


class Library:
    """What is known of one NCCLLibrary class."""

    def __init__(self) -> None:
        self.communicators: dict[int, Communicator] = {}
        self.open = _Open()

    def communicator(self, handle: Any, wrapper: Any) -> Communicator:
        """The communicator with this handle; of one that we did not see made, NCCL tells the size."""
        if _key(handle) not in self.communicators:
            self.add(handle, _size(wrapper, handle), _version(wrapper))
        return self.communicators[_key(handle)]

    def add(self, handle: Any, size: int, version: str) -> None:
        """A communicator was made."""
        made = Communicator(f"pynccl{len(self.communicators)}", size, f"NCCL {version}".strip())
        self.communicators[_key(handle)] = made


def _key(handle: Any) -> int:
    return int(getattr(handle, "value", handle) or 0)


def _size(wrapper: Any, handle: Any) -> int:
    """How many ranks the communicator has, or 0; `wrapper` is the framework's NCCLLibrary, `lib` NCCL's own."""
    with contextlib.suppress(Exception):  # another version's names
        count = ctypes.c_int()
        if wrapper.lib.ncclCommCount(handle, ctypes.byref(count)) == 0:
            return count.value
    return 0


def _version(wrapper: Any) -> str:
    with contextlib.suppress(Exception):
        return str(wrapper.ncclGetVersion())
    return ""


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
        with contextlib.suppress(Exception):  # another version's names
            library.add(communicator, world_size, _version(self))
        return communicator

    return init


def _before() -> None:
    """A collective comes, unless it is how a call of c10d is carried, which came already."""
    if not CALLS.inside.call:
        CALLS.come_directly()


def _reader(original: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], Arguments | None]:
    """Reads a call's arguments without the cost of binding them to the signature; None where they are wrong."""
    names = list(inspect.signature(original).parameters)
    count = next(name for name in COUNTS if name in names)
    wanted = [(name, names.index(name)) for name in (count, "datatype", "comm")]

    def read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        try:
            elements, datatype, comm = (args[at] if len(args) > at else kwargs[name] for name, at in wanted)
            return int(elements), int(datatype), comm
        except (KeyError, TypeError, ValueError):
            return None

    return read


def _collective(original: Callable[..., Any], names: tuple[str, int, int], library: Library) -> Any:
    read, (operation, sent, received) = _reader(original), names

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        _before()
        arguments = read(args, kwargs)
        if arguments is None:
            return original(*args, **kwargs)
        count, datatype, comm = arguments
        group = library.communicator(comm, args[0])
        sizes = [count * (times or group.size) or None for times in (sent, received)] if count else [0, 0]
        with group.span(operation, datatype, *sizes):
            return original(*args, **kwargs)

    return call


def _point_to_point(original: Callable[..., Any], method: str, library: Library) -> Any:
    read, operation = _reader(original), method.removeprefix("nccl").lower()

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        arguments = read(args, kwargs)
        if library.open.depth and arguments is not None:
            library.open.calls.append((operation, arguments))
        if library.open.depth or arguments is None:
            return original(*args, **kwargs)
        _before()
        count, datatype, comm = arguments
        with library.communicator(comm, args[0]).span(operation, datatype, count, count):
            return original(*args, **kwargs)

    return call


def _group_start(original: Callable[..., Any], library: Library) -> Any:
    @functools.wraps(original)
    def start(self: Any) -> Any:
        _before()
        library.open.depth += 1
        return original(self)

    return start


def _group_end(original: Callable[..., Any], library: Library) -> Any:
    """The kernel of a group is launched by the end of the outermost, which carries the sum of its calls."""

    @functools.wraps(original)
    def end(self: Any) -> Any:
        library.open.depth = max(0, library.open.depth - 1)
        calls = [] if library.open.depth else library.open.take()
        with _whole(library, calls, self):
            return original(self)

    return end


def _whole(library: Library, calls: list[tuple[str, Arguments]], wrapper: Any) -> Any:
    if not calls:
        return NO_SPAN
    sends = [count for operation, (count, _, _) in calls if operation == "send"]
    receives = [count for operation, (count, _, _) in calls if operation == "recv"]
    _, datatype, comm = calls[0][1]
    group = library.communicator(comm, wrapper)
    operation = "all_to_all" if len(sends) == len(receives) == group.size else "send" if sends else "recv"
    return group.span(operation, datatype, sum(sends), sum(receives))
