"""Notes what a collective moved, beside the trace.

A call that launches kernels has a numbered span in the trace, which leads from the kernels to the note. A call of gloo
has a span of torch's own, and is found by its time, which costs the program less and makes the trace no larger.
"""

import contextlib
import functools
import inspect
import itertools
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import distributed_c10d as c10d

from traceana_capture import routes
from traceana_capture.pairs import PAIRS

SPAN = "traceana::"
C10D = "torch.distributed"
# c10d function -> (c10d's own word for it, the argument that is sent, the argument that is received)
COLLECTIVES: dict[str, tuple[str, int, int]] = {
    "all_reduce": ("allreduce", 0, 0),
    "broadcast": ("broadcast", 0, 0),
    "reduce": ("reduce", 0, 0),
    "all_gather": ("allgather", 1, 0),
    "all_gather_into_tensor": ("_allgather_base", 1, 0),
    "reduce_scatter_tensor": ("_reduce_scatter_base", 1, 0),
    "all_gather_single": ("_allgather_base", 1, 0),
    "reduce_scatter_single": ("_reduce_scatter_base", 1, 0),
    "all_to_all_single": ("all_to_all", 1, 0),
    "all_to_all": ("all_to_all", 1, 0),
}
DTYPES = {"float32": "Float", "float16": "Half", "bfloat16": "BFloat16", "float64": "Double", "int32": "Int"} | {
    "int64": "Long",
    "uint8": "Byte",
    "int8": "Char",
    "bool": "Bool",
}
# What a call is: the keys that it shares with others, elements sent, elements received, its number in its group.
Call = tuple[dict[str, Any], int, int, int | None]
# record_function goes through the dispatcher and costs ten times as much.
_Span = torch._C._profiler._RecordFunctionFast
# A call on the host, and when it began and ended, in nanoseconds since the epoch, as Kineto counts them too; the end is
# 0 where gloo may begin after it.
HostCall = tuple[dict[str, Any], int, int, int | None, int, int]
NO_SPAN = contextlib.nullcontext()


class _Inside(threading.local):
    call = False


class Calls:
    """The calls of this process's window, by span number, and those of each CUDA graph."""

    def __init__(self) -> None:
        self.recording = False
        self.capturing = 0
        self.inside = _Inside()
        self.before: Callable[[], None] = lambda: None
        self.calls: dict[int, Call] = {}
        self.host: list[HostCall] = []
        self.graphs: list[list[Call]] = []
        self._numbers = itertools.count()

    def begin_graph(self) -> None:
        """From here on, calls belong to a CUDA graph: nothing is launched, so they count at its replays."""
        self.graphs.append([])
        self.capturing += 1

    def end_graph(self) -> None:
        """The graph's capture is over."""
        self.capturing -= 1

    def span(self, keys: dict[str, Any], sent: int, received: int, sequence: int | None) -> Any:
        """A profiler span that stands for the call; nothing outside the window and inside a CUDA graph's capture."""
        if self.capturing:
            self.graphs[-1].append((keys, sent, received, None))
            return NO_SPAN
        if not self.recording:
            return NO_SPAN
        number = next(self._numbers)
        self.calls[number] = (keys, sent, received, sequence)
        return _Span(f"{SPAN}{number}")

    def take_back(self) -> None:
        """The latest call did nothing."""
        if self.capturing:
            self.graphs[-1].pop()
        elif self.calls:
            self.calls.popitem()

    def export(self) -> dict[str, Any]:
        """All calls, ready for JSON: shared keys are written once, and calls as short lists that begin with theirs.

        A call's place is its span's number; where it was taken back there is None.
        """
        table: dict[int, int] = {}
        keys: list[dict[str, Any]] = []

        def short(call: Call | HostCall | None) -> list[int | None] | None:
            if call is None:
                return None
            shared, *numbers = call
            at = table.setdefault(id(shared), len(keys))
            if at == len(keys):
                keys.append(shared)
            return [at, *numbers]

        calls = [short(self.calls.get(number)) for number in range(max(self.calls, default=-1) + 1)]
        graphs = [list(map(short, graph)) for graph in self.graphs]
        return {"calls": calls, "host": list(map(short, self.host)), "graphs": graphs, "keys": keys}


CALLS = Calls()


def _elements(value: Any) -> int:
    return sum(map(_elements, value)) if isinstance(value, list) else int(value.numel())


@functools.lru_cache(maxsize=1024)
def shared_keys(name: str, dtype: torch.dtype, group: Any, backend: str, library: str) -> dict[str, Any]:
    """What all calls of this kind share; cleared when a group is destroyed, for the cache would keep it alive."""
    ranks = dist.get_process_group_ranks(group)
    spelled = str(dtype).removeprefix("torch.")
    return {
        "Collective name": name,
        "dtype": DTYPES.get(spelled, spelled),
        "Group size": len(ranks),
        "Process Group Name": group.group_name,
        "Process Group Description": group.group_desc,
        "Process Group Ranks": str(ranks),
        "traceana backend": backend,
        "traceana library": library,
    }


@functools.lru_cache(maxsize=1024)
def _kind(name: str, dtype: torch.dtype, group: Any, on_cpu: bool) -> tuple[dict[str, Any], Callable[[], int] | None]:
    """What all such calls of c10d share, and what tells their number in the group.

    A group's own number counts the calls of one of its backends only, so it serves where gloo is the only one.
    """
    library = "gloo" if on_cpu else "NCCL"
    group = group or c10d._get_default_group()
    try:
        keys = shared_keys(name, dtype, group, C10D, library)
        return keys, group._get_sequence_number_for_group if dist.get_backend(group) == "gloo" else None
    except (AttributeError, KeyError, RuntimeError, ValueError):
        # A group that this rank is no member of: c10d warns of it and does nothing.
        return {"Collective name": name, "traceana backend": C10D, "traceana library": library}, None


def forget_groups() -> None:
    """A group was destroyed."""
    shared_keys.cache_clear()
    _kind.cache_clear()


def _wrapped(function: Callable[..., Any], names: tuple[str, int, int]) -> Any:
    # signature() looks through c10d's logging decorator, which hides the parameters' names.
    parameters = list(inspect.signature(function).parameters)
    name, sent, received = names
    group_at = parameters.index("group")

    def describe(source: Any, first: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        group = args[group_at] if len(args) > group_at else kwargs.get("group")
        target = args[received] if len(args) > received else kwargs.get(parameters[received], source)
        keys, number = _kind(name, first.dtype, group, first.is_cpu)
        elements = _elements(source)
        return keys, elements, elements if target is source else _elements(target), number and number()

    def on_host(described: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        begin = time.time_ns()
        work = function(*args, **kwargs)
        CALLS.host.append((*described, begin, time.time_ns() if work is None else 0))
        return work

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling() or CALLS.inside.call:
            return function(*args, **kwargs)
        CALLS.before()
        if not (CALLS.recording or CALLS.capturing or routes.COMMUNICATORS):
            return function(*args, **kwargs)
        source = args[sent] if len(args) > sent else kwargs.get(parameters[sent])
        if source is None:
            return function(*args, **kwargs)
        first = source[0] if isinstance(source, list) else source
        if CALLS.recording and not CALLS.capturing and function.__name__ in PAIRS.operations:
            _paired(function, parameters, names[1:], args, kwargs)
        if first.is_cpu and not CALLS.recording:
            return function(*args, **kwargs)
        if not first.is_cpu:
            issued = _rerouted(function, first, parameters, args, kwargs)
            # Outside a CUDA graph NCCL's own metadata reach the kernels.
            if issued is not None or not CALLS.capturing:
                return issued or function(*args, **kwargs)
        # The deprecated names call the new ones; one collective must leave one record.
        CALLS.inside.call = True
        try:
            described = describe(source, first, args, kwargs)
            if first.is_cpu:
                return on_host(described, args, kwargs)
            with CALLS.span(*described):
                return function(*args, **kwargs)
        finally:
            CALLS.inside.call = False

    return call


def _rerouted(function: Any, tensor: Any, parameters: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not routes.COMMUNICATORS:
        return None
    return routes.send(function.__name__, tensor, _by_name(parameters, args, kwargs))


def _by_name(parameters: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The call's values in the order of the signature."""
    values = dict(zip(parameters, args, strict=False)) | kwargs
    return {name: values[name] for name in parameters if name in values}


def _paired(
    function: Any, parameters: list[str], at: tuple[int, int], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Run the call on both backends first; what goes wrong there ends the pairing and not the program."""
    values = _by_name(parameters, args, kwargs)
    sent, received = (parameters[place] for place in at)
    CALLS.inside.call = True
    try:
        size = max(_elements(values[sent]), _elements(values[received])) * values[sent].element_size()
        PAIRS.run(function, values, received, size)
    except Exception as error:
        PAIRS.choose([])
        sys.stderr.write(f"traceana: --paired ended: {error!r}\n")
    finally:
        CALLS.inside.call = False


def watch_c10d() -> None:
    """Wrap c10d's collectives; c10d describes them itself on NCCL, but not on gloo."""
    for attribute, names in COLLECTIVES.items():
        original = getattr(c10d, attribute, None)
        if original is None:
            continue  # torch renamed *_into_tensor and *_scatter_tensor to *_single; most versions have one of them
        wrapped = _wrapped(original, names)
        setattr(c10d, attribute, wrapped)
        setattr(dist, attribute, wrapped)
