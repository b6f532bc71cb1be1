"""Notes what a collective moved: a numbered span in the trace, and under that number its sizes beside the trace."""

import contextlib
import functools
import inspect
import itertools
import threading
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import distributed_c10d as c10d

from traceana_capture import routes

SPAN = "traceana::"
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


class Calls:
    """The records of this process's window, by span number."""

    def __init__(self) -> None:
        self.recording = False
        self.inside = threading.local()
        self.records: list[dict[str, Any]] = []
        self.graphs: list[list[dict[str, Any]]] = []
        self.capturing = 0
        self._sequences: dict[str, Any] = {}

    def begin_graph(self) -> None:
        """From here on, calls belong to a CUDA graph: nothing is launched, so they count at its replays."""
        self.graphs.append([])
        self.capturing += 1

    def end_graph(self) -> None:
        """The graph's capture is over."""
        self.capturing -= 1

    def span(self, record: dict[str, Any]) -> Any:
        """A profiler span that stands for the record; calls count from the start, so that ranks agree on `Seq`."""
        if self.capturing:
            self.graphs[-1].append(record)
            return contextlib.nullcontext()
        number = next(self._sequences.setdefault(record["Process Group Name"], itertools.count()))
        if not self.recording:
            return contextlib.nullcontext()
        self.records.append(record | {"Seq": number})
        # record_function goes through the dispatcher and costs tens of microseconds.
        return torch._C._profiler._RecordFunctionFast(f"{SPAN}{len(self.records) - 1}")


CALLS = Calls()


def _elements(value: Any) -> int:
    return sum(_elements(part) for part in value) if isinstance(value, list) else int(value.numel())


def _first(value: Any) -> torch.Tensor:
    tensor = value[0] if isinstance(value, list) else value
    assert isinstance(tensor, torch.Tensor)
    return tensor


def describe(name: str, sent: Any, received: Any, group: Any) -> dict[str, Any]:
    """The standard keys of one c10d call; sizes in elements of `dtype`."""
    group = group or c10d._get_default_group()
    dtype = str(_first(sent).dtype).removeprefix("torch.")
    return {
        "Collective name": name,
        "In msg nelems": _elements(sent),
        "Out msg nelems": _elements(received),
        "dtype": DTYPES.get(dtype, dtype),
        **group_keys(group),
        "traceana library": "gloo" if _first(sent).device.type == "cpu" else "NCCL",
    }


@functools.lru_cache(maxsize=256)
def group_keys(group: Any) -> dict[str, Any]:
    """The group's part of a record; cleared when a group is destroyed, for the cache would keep it alive."""
    ranks = dist.get_process_group_ranks(group)
    return {
        "Group size": len(ranks),
        "Process Group Name": group.group_name,
        "Process Group Description": group.group_desc,
        "Process Group Ranks": str(ranks),
        "traceana backend": "torch.distributed",
    }


def _wrapped(function: Callable[..., Any], names: tuple[str, int, int], opens: Callable[[], None]) -> Any:
    name, sent, received = names
    # signature() looks through c10d's logging decorator, which hides the parameters' names.
    parameters = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return function(*args, **kwargs)
        opens()
        values = dict(zip(parameters, args, strict=False)) | kwargs
        source = values.get(parameters[sent])
        if getattr(CALLS.inside, "call", False) or source is None:
            return function(*args, **kwargs)
        if _first(source).device.type != "cpu":
            ordered = {name: values[name] for name in parameters if name in values}
            issued = routes.send(function.__name__, _first(source), ordered)
            # Outside a CUDA graph NCCL's own metadata reach the kernels.
            if issued is not None or not CALLS.capturing:
                return issued or function(*args, **kwargs)
        # The deprecated names call the new ones; one collective must leave one record.
        CALLS.inside.call = True
        try:
            with CALLS.span(describe(name, source, values[parameters[received]], values.get("group"))):
                return function(*args, **kwargs)
        finally:
            CALLS.inside.call = False

    return call


def watch_c10d(opens: Callable[[], None]) -> None:
    """Wrap c10d's collectives; `opens` runs before each. c10d describes them itself on NCCL, but not on gloo."""
    for attribute, names in COLLECTIVES.items():
        original = getattr(c10d, attribute, None)
        if original is None:
            continue  # torch renamed *_into_tensor and *_scatter_tensor to *_single; most versions have one of them
        wrapped = _wrapped(original, names, opens)
        setattr(c10d, attribute, wrapped)
        setattr(dist, attribute, wrapped)
