"""Wraps c10d's collectives: describes those on gloo and in CUDA graphs, pairs them, or sends them to PyNccl.

NCCL describes its own calls outside of CUDA graphs. A call whose arguments are wrong goes to c10d as it is, whose error
the program shall see.
"""

import functools
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import distributed_c10d

from traceana_capture import routes
from traceana_capture.calls import CALLS, Call, kind
from traceana_capture.pairs import PAIRS

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Collective:
    """One of c10d's functions; `sent`, `received` and `group` are places among its parameters."""

    function: Callable[..., Any]
    word: str
    sent: int
    received: int
    group: int
    parameters: list[str]

    def value(self, at: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return args[at] if len(args) > at else kwargs.get(self.parameters[at])

    def by_name(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The call's values in the order of the signature."""
        values = dict(zip(self.parameters, args, strict=False)) | kwargs
        return {name: values[name] for name in self.parameters if name in values}

    def tensor(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor | None:
        """The first tensor that is sent; None where there is none."""
        source = self.value(self.sent, args, kwargs)
        first = source[0] if isinstance(source, list) and source else source
        return first if isinstance(first, torch.Tensor) else None

    def described(self, first: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """What the call is; None where its arguments do not tell."""
        try:
            keys, number = kind(self.word, first.dtype, self.value(self.group, args, kwargs), first.is_cpu)
            sent = received = _elements(self.value(self.sent, args, kwargs))
            if self.received != self.sent:
                received = _elements(self.value(self.received, args, kwargs))
            return keys, sent, received, number and number()
        except Exception:  # whatever it is, c10d says it better
            return None


def _elements(value: Any) -> int:
    return sum(map(_elements, value)) if isinstance(value, list) else value.numel()


def _wrapped(function: Callable[..., Any], names: tuple[str, int, int]) -> Any:
    word, sent, received = names
    # signature() looks through c10d's logging decorator, which hides the parameters' names.
    parameters = list(inspect.signature(function).parameters)
    collective = _Collective(
        function=function,
        word=word,
        sent=sent,
        received=received,
        group=parameters.index("group"),
        parameters=parameters,
    )

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling() or CALLS.inside.call:
            return function(*args, **kwargs)
        CALLS.before()
        if not (CALLS.recording or CALLS.capturing or routes.COMMUNICATORS or PAIRS.operations):
            return function(*args, **kwargs)
        tensor = collective.tensor(args, kwargs)
        if tensor is None:
            return function(*args, **kwargs)
        if function.__name__ in PAIRS.operations and not CALLS.capturing:
            with CALLS.inside:
                PAIRS.run(function, collective.by_name(args, kwargs), parameters[received])
        return (_on_host if tensor.is_cpu else _on_gpu)(collective, tensor, args, kwargs)

    return call


def _on_host(collective: _Collective, tensor: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    described = collective.described(tensor, args, kwargs) if CALLS.recording else None
    if described is None:
        return collective.function(*args, **kwargs)
    # The deprecated names call the new ones; one collective must leave one record.
    with CALLS.inside:
        begin = time.time_ns()
        work = collective.function(*args, **kwargs)
        CALLS.host.append((*described, begin, time.time_ns() if work is None else 0))
    return work


def _on_gpu(collective: _Collective, tensor: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    function = collective.function
    if routes.COMMUNICATORS:
        values = collective.by_name(args, kwargs)
        with CALLS.inside:
            if routes.send(function.__name__, tensor, values):
                return routes.Issued() if values.get("async_op") else None
    described = collective.described(tensor, args, kwargs) if CALLS.capturing else None
    if described is None:
        return function(*args, **kwargs)
    with CALLS.inside, CALLS.span(*described):
        return function(*args, **kwargs)


def watch_c10d() -> None:
    """Wrap c10d's collectives where this torch has them."""
    for attribute, names in COLLECTIVES.items():
        original = getattr(distributed_c10d, attribute, None)
        if original is None:
            continue  # torch renamed *_into_tensor and *_scatter_tensor to *_single; most versions have one of them
        wrapped = _wrapped(original, names)
        setattr(distributed_c10d, attribute, wrapped)
        setattr(dist, attribute, wrapped)
