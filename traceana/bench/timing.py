"""How long one call takes: blocks of calls on buffers that do not fit into the cache, after a warm-up that settles.

On a GPU a block waits behind a spin until all its calls are launched, so that what is timed is the GPU's work and not
Python's launches; those are timed on the host, apart. In a CUDA graph one launch carries all calls of a block.
"""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from traceana.bench.backends import Call
from traceana.bench.world import World

_SETTLED = 0.05
"""Warm-up is over when a round's median is within this share of the one before."""
_MOST_WARM_UPS = 12
_SPIN_CYCLES_A_CALL = 400_000
"""About 200 µs of a GPU at 1.9 GHz: more than what Python needs to launch any call."""


# torch gives these no types.
new_stream: Any = torch.cuda.Stream
_sleep: Any = torch.cuda._sleep
_event: Any = torch.cuda.Event


def new_events(count: int) -> list[torch.cuda.Event]:
    """Events that know when they were reached."""
    return [_event(enable_timing=True) for _ in range(count)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Times of one block in ns: of each call, the slowest rank's, and of a launch on this rank's host."""

    calls_ns: torch.Tensor
    launch_ns: int | None


class Timer:
    """Times blocks of one variant; `calls` are the same call on buffers that take turns."""

    def __init__(self, world: World, calls: Sequence[Call], iterations: int, *, graph: bool) -> None:
        self.world = world
        self.calls = [calls[index % len(calls)].run for index in range(iterations)]
        self._graph = self._captured() if graph else None

    def warm_up(self) -> None:
        """Run blocks until two in a row agree on all ranks."""
        before = 0.0
        for _ in range(_MOST_WARM_UPS):
            median = float(self.block().calls_ns.double().median())
            if abs(median - before) <= _SETTLED * before:
                return
            before = median

    def block(self) -> Block:
        """One block; the first call takes up what ranks differ by at the start, and is left out."""
        self.world.synchronize()
        if not self.world.on_gpu:
            times, launch = self._on_host(), None
        elif self._graph is not None:
            times, launch = self._in_graph(), None
        else:
            times, launch = self._on_gpu()
        return Block(calls_ns=self.world.slowest(times), launch_ns=launch)

    def _on_host(self) -> torch.Tensor:
        marks = [time.perf_counter_ns()]
        for run in self.calls:
            run()
            marks.append(time.perf_counter_ns())
        return torch.tensor(marks[1:]) - torch.tensor(marks[:-1])

    def _on_gpu(self) -> tuple[torch.Tensor, int]:
        events = new_events(len(self.calls) + 1)
        _sleep(_SPIN_CYCLES_A_CALL * len(self.calls))
        began = time.perf_counter_ns()
        events[0].record()
        for run, event in zip(self.calls, events[1:], strict=True):
            run()
            event.record()
        launch = (time.perf_counter_ns() - began) // len(self.calls)
        torch.cuda.synchronize(self.world.device)
        times = [a.elapsed_time(b) for a, b in itertools.pairwise(events[1:])]
        return (torch.tensor(times, dtype=torch.float64) * 1e6).long(), launch

    def _in_graph(self) -> torch.Tensor:
        """Calls of a graph cannot be told apart by events: each counts with the mean of its replay."""
        assert self._graph is not None
        begin, end = new_events(2)
        self._graph.replay()
        begin.record()
        self._graph.replay()
        end.record()
        torch.cuda.synchronize(self.world.device)
        return torch.tensor([round(begin.elapsed_time(end) * 1e6 / len(self.calls))])

    def _captured(self) -> torch.cuda.CUDAGraph:
        stream = new_stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.calls[0]()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # NCCL's watchdog asks for events on its own thread meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            for run in self.calls:
                run()
        return graph
