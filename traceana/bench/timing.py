"""How long one call takes: blocks of calls on buffers that do not fit into the cache, after a warm-up that settles.

A block's calls follow each other at once, and its time by their number is the time of a call, as nccl-tests has it
(BenchTime in https://github.com/NVIDIA/nccl-tests/blob/master/src/common.cu): an event between calls costs 2 to 4 µs
more. On a GPU the block waits behind a spin until all its calls are launched, so that what is timed is the GPU's work
and not Python's launches; those are timed on the host, apart. In a CUDA graph one launch carries all calls of a block.

All is on a stream of the bench's own. NCCL ends each call in a graph with the record of an event
(ncclStrongStreamRelease in https://github.com/NVIDIA/nccl/blob/v2.28.9-1/src/misc/strongstream.cc), which on CUDA's
default stream holds up the next call by 5 to 12 µs; what that comes to is timed apart.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import msgspec
import torch

from traceana.bench.backends import Call, nothing
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


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Times of one block in ns, the slowest rank's: of a call in a row of all, and of each call between two events.

    `launch_ns` is what a launch costs this rank's host. A graph's calls cannot be told apart.
    """

    call_ns: int
    calls_ns: torch.Tensor
    launch_ns: int | None


class Timer:
    """Times blocks of one variant; `calls` are the same call on buffers that take turns."""

    def __init__(self, world: World, calls: Sequence[Call], iterations: int, *, graph: bool) -> None:
        self.world = world
        self.calls = [calls[index % len(calls)].run for index in range(iterations)]
        self._graph = self._captured(calls[0].capturing) if graph else None

    def once(self) -> None:
        """All calls once, with nothing around them."""
        if self._graph is not None:
            self._graph.replay()
            return
        for run in self.calls:
            run()

    def warm_up(self) -> None:
        """Run blocks until two in a row agree on all ranks."""
        before = 0
        for _ in range(_MOST_WARM_UPS):
            now = self.block().call_ns
            if abs(now - before) <= _SETTLED * before:
                return
            before = now

    def block(self) -> Block:
        """One block; its first call takes up what ranks differ by at the start, and is left out."""
        self.world.synchronize()
        if not self.world.on_gpu:
            apart = self._on_host()
            row, launch = float(apart.double().mean()), None
        elif self._graph is not None:
            row, apart, launch = self._in_graph(nothing), torch.empty(0, dtype=torch.long), None
        else:
            row, launch = self._in_a_row(nothing)
            self.world.synchronize()
            apart = self._between_events()
        slowest = self.world.slowest(torch.cat([torch.tensor([round(row)]), apart]))
        return Block(call_ns=int(slowest[0]), calls_ns=slowest[1:], launch_ns=launch)

    def beside(self, start: Callable[[], object]) -> int:
        """Ns of a call in a row, the slowest rank's, while what `start` puts on another stream runs."""
        self.world.synchronize()
        row = self._in_graph(start) if self._graph is not None else self._in_a_row(start)[0]
        return int(self.world.slowest(torch.tensor([round(row)]))[0])

    def on_default_stream(self) -> int:
        """Ns of a call in a row, the slowest rank's, where CUDA's default stream carries the calls."""
        with torch.cuda.stream(torch.cuda.default_stream(self.world.device)):
            return self.beside(nothing)

    def _on_host(self) -> torch.Tensor:
        marks = [time.perf_counter_ns()]
        for run in self.calls:
            run()
            marks.append(time.perf_counter_ns())
        return torch.tensor(marks[1:]) - torch.tensor(marks[:-1])

    def _in_a_row(self, start: Callable[[], object]) -> tuple[float, int]:
        begin, end = new_events(2)
        _sleep(_SPIN_CYCLES_A_CALL * (len(self.calls) + 1))
        self.calls[-1]()
        start()
        began = time.perf_counter_ns()
        begin.record()
        for run in self.calls:
            run()
        end.record()
        launch = (time.perf_counter_ns() - began) // len(self.calls)
        torch.cuda.synchronize(self.world.device)
        return begin.elapsed_time(end) * 1e6 / len(self.calls), launch

    def _between_events(self) -> torch.Tensor:
        events = new_events(len(self.calls) + 1)
        _sleep(_SPIN_CYCLES_A_CALL * (len(self.calls) + 1))
        self.calls[-1]()
        events[0].record()
        for run, event in zip(self.calls, events[1:], strict=True):
            run()
            event.record()
        torch.cuda.synchronize(self.world.device)
        times = [a.elapsed_time(b) for a, b in itertools.pairwise(events)]
        return (torch.tensor(times, dtype=torch.float64) * 1e6).long()

    def _in_graph(self, start: Callable[[], object]) -> float:
        """One replay: a second one behind it would not be launched before the first has ended."""
        assert self._graph is not None
        begin, end = new_events(2)
        _sleep(_SPIN_CYCLES_A_CALL * (len(self.calls) + 1))
        self.calls[-1]()
        start()
        begin.record()
        self._graph.replay()
        end.record()
        torch.cuda.synchronize(self.world.device)
        return float(begin.elapsed_time(end)) * 1e6 / len(self.calls)

    def _captured(self, capturing: Callable[[], AbstractContextManager[object]]) -> torch.cuda.CUDAGraph:
        stream = new_stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.calls[0]()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # NCCL's watchdog asks for events on its own thread meanwhile.
        with capturing(), torch.cuda.graph(graph, capture_error_mode="thread_local"):
            for run in self.calls:
                run()
        return graph
