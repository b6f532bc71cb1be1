"""Taps c10d's collectives: describes those on gloo and in CUDA graphs, pairs them, or sends them to PyNccl.

NCCL describes its own calls outside of CUDA graphs. A call whose arguments are wrong goes to c10d as it is, whose error
the program shall see. While nobody wants to know of calls, c10d is as torch made it.
"""

import functools
import inspect
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import torch
from torch.distributed import distributed_c10d

from traceana_capture.agent import functional, point_to_point, routes
from traceana_capture.agent.call_keys import kind
from traceana_capture.agent.call_notes import CALLS, IDLE_BYTES, Call
from traceana_capture.agent.paired import PAIRS

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
NEW_NAMES = {"all_gather_single", "reduce_scatter_single"}


# Whether the call is on the host, whether it is too short for a payload there, and what it is.
Described = tuple[bool, bool, Call]


def _describer(function: Callable[..., Any], names: tuple[str, int, int]) -> Callable[[Any, Any], Described | None]:
    """Tells what a call's arguments say of it; None where nobody wants to know, or where they are wrong."""
    word, sent, received = names
    parameters = list(inspect.signature(function).parameters)
    group = parameters.index("group")

    def describe(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Described | None:
        try:
            source = args[sent] if len(args) > sent else kwargs[parameters[sent]]
            first = source[0] if isinstance(source, list) else source
            on_cpu = first.is_cpu
            if not (CALLS.recording if on_cpu else CALLS.capturing):
                return None
            elements = results = _elements(source)
            if sent != received:
                results = _elements(args[received] if len(args) > received else kwargs[parameters[received]])
            its_group = args[group] if len(args) > group else kwargs.get("group")
            idle = on_cpu and max(elements, results) * first.element_size() <= IDLE_BYTES
            return on_cpu, idle, (kind(word, first.dtype, its_group, on_cpu), elements, results, None)
        except Exception:  # whatever it is, c10d says it better
            return None

    return describe


def _noted(function: Callable[..., Any], names: tuple[str, int, int]) -> Any:
    describe = _describer(function, names)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling() or CALLS.inside.call:
            return function(*args, **kwargs)
        if CALLS.seen >= CALLS.unasked:
            CALLS.before()
        CALLS.seen += 1
        if not (CALLS.recording or CALLS.capturing):
            return function(*args, **kwargs)
        described = describe(args, kwargs)
        if described is None:
            with CALLS.placed():
                return function(*args, **kwargs)
        on_cpu, idle, what = described
        if idle:
            CALLS.uncount()
        if not on_cpu:
            with CALLS.inside, CALLS.span(*what):
                return function(*args, **kwargs)
        begin = time.time_ns()
        work = function(*args, **kwargs)
        CALLS.note(what, begin, begun=work is None)
        return work

    return call


def _carried(function: Callable[..., Any], noted: Callable[..., Any], received: int) -> Any:
    """Has PyNccl carry what it can, and pairs calls for `--paired`; what goes to c10d is noted."""
    parameters = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling() or CALLS.inside.call:
            return function(*args, **kwargs)
        if CALLS.seen >= CALLS.unasked:
            CALLS.before()
        values = dict(zip(parameters, args, strict=False)) | kwargs
        with CALLS.inside:
            given = {name: values[name] for name in parameters if name in values}
            if _by_pynccl(function, given, received):
                CALLS.seen += 1
                return routes.Issued([list(given.values())[received]]) if values.get("async_op") else None
        return noted(*args, **kwargs)

    return call


def _by_pynccl(function: Callable[..., Any], values: dict[str, Any], received: int) -> bool:
    """Run the call on both backends for `--paired`; whether PyNccl then carried the program's own as well."""
    if not isinstance(next(iter(values.values()), None), torch.Tensor):
        return False
    if function.__name__ in PAIRS.operations and not CALLS.capturing:
        PAIRS.run(function, values, list(values)[received])
    return bool(routes.COMMUNICATORS) and routes.send(function.__name__, values)


def _elements(value: Any) -> int:
    return sum(map(_elements, value)) if isinstance(value, list) else value.numel()


def watch_c10d() -> None:
    """Prepare the taps of c10d's collectives, where this torch has them; `CALLS.listen` opens and closes them."""
    taps: list[tuple[types.CellType, Any, Any, Any]] = []
    for attribute, names in COLLECTIVES.items():
        collective = getattr(distributed_c10d, attribute, None)
        # torch renamed *_into_tensor and *_scatter_tensor to *_single. The deprecated names call the new ones, and one
        # collective must leave one record.
        if collective is None or (NEW_NAMES - {attribute}) & set(inspect.unwrap(collective).__code__.co_names):
            continue
        cell = _cell(collective)
        if cell is None:
            sys.stderr.write(f"traceana: torch's {attribute} is not as we know it, so its calls may have no sizes\n")
        else:
            original = cell.cell_contents
            noted = _noted(original, names)
            carried = _carried(original, noted, names[2])
            _leave_uncompiled(noted, carried, _by_pynccl, _elements)
            taps.append((cell, original, noted, carried))

    _leave_uncompiled(*point_to_point.NOTED.values(), functional.Operator.__call__)

    def tap(wanted: bool, routed: bool) -> None:
        for cell, original, noted, carried in taps:
            cell.cell_contents = carried if routed else noted if wanted else original
        point_to_point.tap(wanted)
        functional.tap(wanted)

    CALLS.tap = tap


def _leave_uncompiled(*functions: Any) -> None:
    """Have torch's compiler pass these by, as it does c10d's own.

    Where a graph breaks at a collective, it would compile them in the midst of the program, or fail where the program
    allows no more compiling.
    """
    frames: Any = torch._C._dynamo.eval_frame
    for code in (function.__code__ for function in functions):
        if hasattr(frames, "set_code_exec_strategy"):
            skip = frames._FrameAction.SKIP
            frames.set_code_exec_strategy(code, frames._FrameExecStrategy(skip, skip))
        elif hasattr(frames, "skip_code"):
            frames.skip_code(code)


def _cell(collective: Any) -> types.CellType | None:
    """Where c10d's logging decorator holds the function.

    What is put there is called in its place, also by who took the decorated function long before.
    """
    inner = getattr(collective, "__wrapped__", None)
    cells: tuple[types.CellType, ...] = getattr(collective, "__closure__", None) or ()
    return next((cell for cell in cells if cell.cell_contents is inner), None)
