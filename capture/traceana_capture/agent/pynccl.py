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
from traceana_capture.agent.choices import KERNEL, MAKING
from traceana_capture.agent.nccl_groups import DTYPES, NcclCall, Whole, alone, together

COUNTS = ("count", "sendcount", "recvcount")
# method -> c10d's word
METHODS = {
    "ncclAllReduce": "allreduce",
    "ncclBroadcast": "broadcast",
    "ncclReduce": "reduce",
    "ncclAllGather": "_allgather_base",
    "ncclReduceScatter": "_reduce_scatter_base",
}
# elements, datatype, communicator, root or -1
Arguments = tuple[int, int, Any, int]


class Communicator:
    """An NCCL communicator of this process, and how many calls it has seen.

    Its size is 0, and this process's rank in it None, where that is not known.
    """

    def __init__(self, name: str, size: int, library: str, rank: int | None = None) -> None:
        self.name, self.size, self.library, self.rank = name, size, library, rank
        self.calls = 0

    @functools.lru_cache(maxsize=256)  # noqa: B019 - communicators are few and live as long as the process
    def keys(self, operation: str, datatype: int, making: bool = False, kernel: str | None = None) -> dict[str, Any]:
        """What all calls of this kind share; with `making` they are those of a framework that makes a group.

        `kernel` is as in Whole.
        """
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
        if kernel:
            keys[KERNEL] = kernel
        if dist.is_initialized() and self.size == dist.get_world_size():
            keys["Process Group Ranks"] = str(list(range(self.size)))
        return keys

    def span(self, call: Whole | None) -> Any:
        """The span of one call, or of a group's together; none where it is not known what they are."""
        number, self.calls = self.calls, self.calls + 1
        if call is None or not (CALLS.recording or CALLS.capturing):
            return NO_SPAN
        keys = self.keys(call.operation, call.datatype, CALLS.making.call, call.kernel)
        return CALLS.span(keys, call.sent, call.received, number)


class _Open(threading.local):
    """The groups that this thread began, one inside another, and their calls; None for one that cannot be read."""

    def __init__(self) -> None:
        self.depth = 0
        self.calls: list[NcclCall | None] = []

    def take(self) -> list[NcclCall | None]:
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

    def add(self, handle: Any, size: int, version: str, rank: int | None = None) -> None:
        """A communicator was made."""
        made = Communicator(f"pynccl{len(self.communicators)}", size, f"NCCL {version}".strip(), rank)
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
    for method, operation in METHODS.items():
        if hasattr(kind, method):
            setattr(kind, method, _call(getattr(kind, method), operation, library))
    for method in ("ncclSend", "ncclRecv"):
        setattr(kind, method, _call(getattr(kind, method), method.removeprefix("nccl").lower(), library))
    if hasattr(kind, "ncclGroupStart"):
        kind.ncclGroupStart = _group_start(kind.ncclGroupStart, library)
        kind.ncclGroupEnd = _group_end(kind.ncclGroupEnd, library)


def _named(original: Callable[..., Any], library: Library) -> Any:
    names = list(inspect.signature(original).parameters)

    @functools.wraps(original)
    def init(self: Any, world_size: int, *args: Any, **kwargs: Any) -> Any:
        communicator = original(self, world_size, *args, **kwargs)
        with contextlib.suppress(Exception):  # another version's names
            given = dict(zip(names[2:], args, strict=False)) | kwargs
            library.add(communicator, world_size, _version(self), given.get("rank"))
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
    root = names.index("root") if "root" in names else None

    def read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        try:
            elements, datatype, comm = (args[at] if len(args) > at else kwargs[name] for name, at in wanted)
            whose = -1 if root is None else args[root] if len(args) > root else kwargs["root"]
            return int(elements), int(datatype), comm, int(whose)
        except (KeyError, TypeError, ValueError):
            return None

    return read


def _call(original: Callable[..., Any], operation: str, library: Library) -> Any:
    """The method, with a span of its own, or as a part of the group that is open."""
    read = _reader(original)

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        if not library.open.depth:
            _before()
        arguments = read(args, kwargs)
        if library.open.depth:
            library.open.calls.append(arguments and _noted(operation, arguments))
        if library.open.depth or arguments is None:
            return original(*args, **kwargs)
        group = library.communicator(arguments[2], args[0])
        with group.span(alone(_noted(operation, arguments), group.size)):
            return original(*args, **kwargs)

    return call


def _noted(operation: str, arguments: Arguments) -> NcclCall:
    count, datatype, comm, root = arguments
    return NcclCall(operation=operation, count=count, datatype=datatype, communicator=_key(comm), root=root)


def _group_start(original: Callable[..., Any], library: Library) -> Any:
    @functools.wraps(original)
    def start(self: Any) -> Any:
        _before()
        library.open.depth += 1
        return original(self)

    return start


def _group_end(original: Callable[..., Any], library: Library) -> Any:
    """The kernel of a group is launched by the end of the outermost, which carries all its calls."""

    @functools.wraps(original)
    def end(self: Any) -> Any:
        library.open.depth = max(0, library.open.depth - 1)
        calls = [] if library.open.depth else library.open.take()
        with _whole(library, calls, self):
            return original(self)

    return end


def _whole(library: Library, calls: list[NcclCall | None], wrapper: Any) -> Any:
    known = [call for call in calls if call is not None]
    if not known:
        return NO_SPAN
    group = library.communicator(known[0].communicator, wrapper)
    return group.span(together(known, group.size, group.rank) if len(known) == len(calls) else None)
