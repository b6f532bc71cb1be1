"""PyNccl: sglang's or vLLM's class where one is installed, else NCCL by this project's own calls of it."""

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.distributed as dist

from traceana.bench.backends import Call, Unavailable, frameworks
from traceana.bench.backends.nccl import Libnccl
from traceana.bench.buffers import Buffers
from traceana.bench.world import World

_MODULES = (
    "sglang.multimodal_gen.runtime.distributed.device_communicators.pynccl",
    "sglang.srt.distributed.device_communicators.pynccl",
    "vllm.distributed.device_communicators.pynccl",
)
_CLASS = "PyNcclCommunicator"


class PyNccl:
    """One communicator over all ranks; calls go onto torch's current stream.

    A `setting` such as ring/ll holds it to an algorithm and a protocol, as NCCL_ALGO and NCCL_PROTO do.
    """

    name = "pynccl"

    def __init__(self, world: World, setting: str = "") -> None:
        frameworks.need_gpus(world, "NCCL")
        variables = {}
        if setting:
            algorithm, slash, protocol = setting.partition("/")
            if not (algorithm and slash and protocol):
                raise Unavailable("name an algorithm and a protocol of NCCL, as in pynccl:ring/ll")
            self.name = f"pynccl:{setting}"
            variables = {"NCCL_ALGO": algorithm, "NCCL_PROTO": protocol}
        # NCCL reads them whenever a communicator is made.
        with _environment(variables):
            self._way = _of_framework(world) or Libnccl(world)
        self.detail = self._way.detail + (f", held to {setting}" if setting else "")

    def call(self, buffers: Buffers) -> Call | str:
        """See Backend."""
        if buffers.op.startswith("all_to_all_4d"):
            return "layout copies and exchange are measured with torch; the exchange alone is all_to_all"
        return self._way.call(buffers)


class OfFramework:
    """A PyNcclCommunicator of sglang or vLLM; their methods differ in whether all_reduce is in place."""

    def __init__(self, world: World, communicator: Any, detail: str) -> None:
        self.world, self.detail = world, detail
        self._communicator = communicator
        # Two of the three are made disabled, to be switched on around the calls of a graph.
        communicator.disabled = False
        self._in_place = "in_tensor" not in inspect.signature(communicator.all_reduce).parameters

    def call(self, buffers: Buffers) -> Call | str:
        """See Backend."""
        one, b = self._communicator, buffers
        if b.op == "all_reduce":
            return self._all_reduce(b)
        if b.op == "broadcast":
            run = partial(self._on_stream, one.broadcast, b.target, 0)
            return Call(run=run, load=partial(b.target.copy_, b.source), in_place=True)
        if b.op in ("send_recv", "send_recv_pair"):
            return Call(run=partial(self._exchange, b))
        splits = ([*b.received], [*b.sent]) if b.op == "all_to_allv" else ()
        names = {"all_to_all": "all_to_all_single", "all_to_allv": "all_to_all_single"}
        method = None if b.op == "reduce" else getattr(one, names.get(b.op, b.op), None)
        if method is None:
            return f"{self.detail} has no {b.op}"
        return Call(run=partial(self._on_stream, method, b.target, b.source, *splits))

    def _on_stream(self, method: Callable[..., object], *arguments: object) -> object:
        return method(*arguments, stream=torch.cuda.current_stream())

    def _all_reduce(self, buffers: Buffers) -> Call:
        method = self._communicator.all_reduce
        if self._in_place:
            run = partial(self._on_stream, method, buffers.target)
            return Call(run=run, load=partial(buffers.target.copy_, buffers.source), in_place=True)
        results: list[Any] = [buffers.target]

        def out_of_place() -> None:
            results[0] = self._on_stream(method, buffers.source)

        return Call(run=out_of_place, unload=lambda: buffers.target.copy_(results[0]))

    def _exchange(self, buffers: Buffers) -> None:
        rank, size = self.world.rank, self.world.size
        ring = buffers.op == "send_recv"
        to, sender = ((rank + 1) % size, (rank - 1) % size) if ring else (rank ^ 1, rank ^ 1)
        self._communicator.group_start()
        self._on_stream(self._communicator.send, buffers.source, to)
        self._on_stream(self._communicator.recv, buffers.target, sender)
        self._communicator.group_end()


def _of_framework(world: World) -> OfFramework | None:
    """The first of the installed frameworks' whose class can be made; None where there is none."""
    for module in _MODULES:
        package = module.partition(".")[0]
        if frameworks.installed(package):
            try:
                # Their classes refuse a group of NCCL's own.
                group = dist.new_group(backend="gloo")
                communicator = frameworks.made(world, module, _CLASS, group, world.device)
            except Unavailable:
                continue
            detail = f"PyNcclCommunicator of {package} {frameworks.release(package)}"
            return OfFramework(world, communicator, detail)
    return None


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set the variables, and put back what there was."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
