"""What a CUDA graph's NCCL calls cost, by how the graph is made, replayed and timed: the ways side by side.

Usage: torchrun --nproc-per-node 2 graph_variants.py [BYTES...]. Prints µs a call, the slower rank's median, what the
graph consists of, and from torch.profiler the kernels' times and the gaps between them.
"""

import ctypes
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from traceana.bench.backends.c10d import C10d
from traceana.bench.backends.nccl import Libnccl
from traceana.bench.backends.symmetric import TwoShot
from traceana.bench.buffers import allocate
from traceana.bench.plan import Message
from traceana.bench.timing import new_events
from traceana.bench.world import World, join

CALLS = 50
FEW = 10
ROUNDS = 7
SPIN = 400_000 * (CALLS + 1)
KINDS = {0: "kernel", 1: "memcpy", 2: "memset", 3: "host", 5: "empty", 6: "event wait", 7: "event record"}
Run = Callable[[], object]
_sleep: Any = torch.cuda._sleep


def runtime() -> ctypes.CDLL:
    """The CUDA runtime that torch has loaded."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return ctypes.CDLL(next(line.split()[-1] for line in maps if "libcudart.so" in line))


class Graph:
    """The calls as a graph; `flags` are cudaGraphInstantiate's, None for torch's own."""

    def __init__(self, cuda: ctypes.CDLL, runs: Sequence[Run]) -> None:
        self.cuda = cuda
        self.graph = torch.cuda.CUDAGraph(keep_graph=True)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(stream):
            runs[0]()
        torch.cuda.synchronize()
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            for run in runs:
                run()
        self.graph.instantiate()

    def by_torch(self) -> Run:
        return self.graph.replay

    def with_flags(self, flags: int) -> Run:
        exec_ = ctypes.c_void_p()
        raw = ctypes.c_void_p(self.graph.raw_cuda_graph())
        code = self.cuda.cudaGraphInstantiateWithFlags(ctypes.byref(exec_), raw, ctypes.c_ulonglong(flags))
        assert code == 0, f"cudaGraphInstantiateWithFlags: {code}"

        def launch() -> None:
            stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
            assert self.cuda.cudaGraphLaunch(exec_, stream) == 0

        return launch

    def nodes(self) -> str:
        raw, count = ctypes.c_void_p(self.graph.raw_cuda_graph()), ctypes.c_size_t()
        assert self.cuda.cudaGraphGetNodes(raw, None, ctypes.byref(count)) == 0
        found = (ctypes.c_void_p * count.value)()
        assert self.cuda.cudaGraphGetNodes(raw, found, ctypes.byref(count)) == 0
        kinds: Counter[str] = Counter()
        for node in found:
            kind = ctypes.c_int()
            assert self.cuda.cudaGraphNodeGetType(ctypes.c_void_p(node), ctypes.byref(kind)) == 0
            kinds[KINDS.get(kind.value, str(kind.value))] += 1
        return ", ".join(f"{number} {kind}" for kind, number in kinds.items())


def in_turn(runs: Sequence[Run]) -> None:
    for run in runs:
        run()


def say(world: World, line: str) -> None:
    if world.rank == 0:
        print(line, flush=True)


def between_events(world: World, work: Run, before: Sequence[Run] = ()) -> float:
    """Ns of `work` on the GPU, behind what `before` puts there."""
    begin, end = new_events(2)
    world.synchronize()
    for one in before:
        one()
    begin.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end)) * 1e6


def by_host(world: World, work: Run) -> float:
    """Ns as nccl-tests takes them: from the launch to the end on the host."""
    world.synchronize()
    began = time.perf_counter_ns()
    work()
    torch.cuda.synchronize()
    return float(time.perf_counter_ns() - began)


def launching(world: World, work: Run) -> float:
    """Ns that the launch holds the host up while the GPU is busy."""
    world.synchronize()
    _sleep(SPIN)
    began = time.perf_counter_ns()
    work()
    took = time.perf_counter_ns() - began
    torch.cuda.synchronize()
    return float(took)


def on_stream(stream: Any, measure: Callable[..., float], *arguments: Any) -> float:
    with torch.cuda.stream(stream):
        return measure(*arguments)


def median_us(world: World, measure: Callable[[], float]) -> float:
    measure()
    took = torch.tensor([measure() for _ in range(ROUNDS)], dtype=torch.float64, device=world.device)
    dist.all_reduce(took, op=dist.ReduceOp.MAX)
    return float(took.median()) / CALLS / 1000


def times(world: World, graph: Graph, few: Graph, runs: Sequence[Run], side: Any) -> dict[str, float]:
    """µs a call in all the ways."""

    spin, eager = partial(_sleep, SPIN), partial(in_turn, runs)
    replay, plain, priority = graph.by_torch(), graph.with_flags(0), graph.with_flags(8)
    measures: dict[str, Callable[[], float]] = {
        "eager": partial(between_events, world, eager, (spin, runs[-1])),
        "graph": partial(between_events, world, replay, (spin, runs[-1])),
        f"{FEW} calls": lambda: between_events(world, few.by_torch(), (spin, runs[-1])) * CALLS / FEW,
        "flags 0": partial(between_events, world, plain, (spin, runs[-1])),
        "flags 8": partial(between_events, world, priority, (spin, runs[-1])),
        "side": partial(on_stream, side, between_events, world, replay, (spin, runs[-1])),
        "no call": partial(between_events, world, replay, (spin,)),
        "no spin": partial(between_events, world, replay, (runs[-1],)),
        "idle": partial(between_events, world, replay),
        "idle, 0": partial(between_events, world, plain),
        "host": partial(by_host, world, replay),
        "host, 0": partial(by_host, world, plain),
        "launch": partial(launching, world, replay),
        "launch, 0": partial(launching, world, plain),
    }
    return {name: median_us(world, measure) for name, measure in measures.items()}


def kernels(world: World, work: Run) -> str:
    """Median time of the kernels of one `work` behind a spin, and of the gaps between them."""
    world.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        _sleep(SPIN)
        work()
        torch.cuda.synchronize()
    found = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profile.events()
        if str(event.device_type).endswith("CUDA") and "nccl" in event.name.lower()
    )
    if len(found) < 2:
        return "no kernels seen"
    took = sorted(end - start for start, end in found)
    gaps = sorted(b[0] - a[1] for a, b in itertools.pairwise(found))
    return f"{len(found)} kernels of {took[len(took) // 2]:.2f} µs, gaps of {gaps[len(gaps) // 2]:.2f} µs"


def main(sizes: Sequence[int]) -> None:
    world, cuda = join(), runtime()
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    backends: dict[str, Any] = {"torch": C10d(world), "pynccl": Libnccl(world), "two_shot": TwoShot(world)}
    for size, (name, backend) in itertools.product(sizes, backends.items()):
        copies = max(1, min(CALLS, 2 * 60_000_000 // size))
        message = Message(op="all_reduce", message_bytes=size)
        buffers = [allocate(message, world, torch.bfloat16, in_place=False, imbalance=1) for _ in range(copies)]
        calls = [backend.call(one) for one in buffers]
        runs = [calls[index % copies].run for index in range(CALLS)]
        graph = Graph(cuda, runs)
        found = times(world, graph, Graph(cuda, runs[:FEW]), runs, side)
        say(world, f"{size:>9} {name:9}" + "  ".join(f"{kind} {us:.2f}" for kind, us in found.items()))
        say(world, f"{'':19}{graph.nodes()}")
        if name == "pynccl":
            ways: dict[str, Run] = {
                "eager": partial(in_turn, runs),
                "graph": graph.by_torch(),
                "flags 0": graph.with_flags(0),
            }
            for way, work in ways.items():
                say(world, f"{'':19}{way}: {kernels(world, work)}")
    world.synchronize()
    sys.stdout.flush()
    # A process group with graphs that are still there may hang at its end.
    os._exit(0)


if __name__ == "__main__":
    main([int(one) for one in sys.argv[1:]] or [1 << 10, 1 << 20, 1 << 24])
