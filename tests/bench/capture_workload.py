"""Ranks that loop over small operators and a collective; the first one times itself. Started by capture_overhead.py.

Prints, as JSON, microseconds an iteration before the window and inside it, the seconds until the trace is on disk, and
how, before the window and inside it, an iteration with the collective that the program finds compares to torch's own.
"""

import argparse
import inspect
import json
import os
import statistics
import time
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch.distributed import c10d_logger
from torch.testing._internal.distributed import fake_pg

from tests.bench import capture_step

WARM_UP = 10_000
# Rounds, and the operators of each.
ROUNDS, ROUND = 12, 6000
# Pairs of short rounds, and the operators of each such round.
TURNS, PART = 60, 1000
# An operator on a GPU is slower and leaves three events, so there is less work there.
FEWER = {"cuda": 4}


class Layer(torch.nn.Module):
    """Where the work is done, as a model's collectives are issued in its modules."""

    def forward(self, loop: "Loop", all_reduce: Callable[..., object]) -> None:
        """One iteration."""
        tensor = loop.tensor
        for _ in range(loop.options.operators // 2):
            tensor = torch.relu(tensor * 0.5)
        all_reduce(tensor if loop.elsewhere is None else loop.elsewhere)


class Loop:
    """`operators` elementwise operators and a collective, so many times, in rounds; the fastest round counts."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.layer = options, Layer()
        fake = options.device == "fake"
        self.tensor = torch.ones(64, 64, device="cpu" if fake else options.device)
        # Not on the CPU, so capture leaves it to NCCL's own description.
        self.elsewhere = self.tensor.to("meta") if fake else None
        # Alone on the CPU a thread's own time serves, which neighbours on the machine disturb less.
        alone = options.device != "cuda" and options.ranks == 1
        self.clock = time.thread_time if alone else time.perf_counter
        fewer = FEWER.get(options.device, 1) * options.operators
        self.round, self.part = max(1, ROUND // fewer), max(1, PART // fewer)

    def run(self, calls: int, all_reduce: Callable[..., object] = dist.all_reduce) -> float:
        """Microseconds an iteration."""
        self._wait()
        begin = self.clock()
        for _ in range(calls):
            self.layer(self, all_reduce)
        self._wait()
        return (self.clock() - begin) / calls * 1e6

    def best(self) -> float:
        """Microseconds an iteration of the fastest round."""
        return min(self.run(self.round) for _ in range(ROUNDS))

    def ratio(self) -> float:
        """The median ratio of rounds with the collective that the program finds to such with torch's own, in turn."""
        found, own = dist.all_reduce, _of_torch(dist.all_reduce)
        ratios = [self._to(found, own) for _ in range(TURNS // 2)]
        return statistics.median(ratios + [1 / self._to(own, found) for _ in range(TURNS // 2)])

    def _to(self, one: Callable[..., object], other: Callable[..., object]) -> float:
        return self.run(self.part, one) / self.run(self.part, other)

    def _wait(self) -> None:
        if self.options.device == "cuda":
            torch.cuda.synchronize()


def _of_torch(function: Callable[..., object]) -> Callable[..., object]:
    """The same function in a decorator of its own, which capture does not know of."""
    own: Callable[..., object] = c10d_logger._exception_logger(inspect.unwrap(function))
    return own


def main() -> None:
    """Start the other ranks and be the first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    parser.add_argument("device")
    parser.add_argument("--trace", default="plain.json")
    for name in ("ranks", "operators", "port"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    spawn = torch.multiprocessing.get_context("spawn")
    others = [spawn.Process(target=measure, args=(rank, options)) for rank in range(1, options.ranks)]
    for process in others:
        process.start()
    measure(0, options)
    for process in others:
        process.join()


def measure(rank: int, options: argparse.Namespace) -> None:
    """Time the loop before the window, inside it, and its end."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(options.port)}
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(options.ranks)}
    torch.set_num_threads(1)
    if options.device == "cuda":
        _take_gpu(rank, options.ranks)
    if options.device == "fake":
        dist.init_process_group("fake", store=fake_pg.FakeStore(), rank=rank, world_size=options.ranks)
    else:
        dist.init_process_group("nccl" if options.device == "cuda" else "gloo")
    activities = [torch.profiler.ProfilerActivity.CPU]
    if options.device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    loop = Loop(options)
    loop.run(WARM_UP // options.operators)
    before, ratio_before = loop.best(), loop.ratio()
    profiler = torch.profiler.profile(activities=activities) if options.kind == "plain" else None
    if profiler is not None:
        profiler.start()
    (inside, ratio), end = capture_step.step(lambda: (loop.best(), loop.ratio()))
    if profiler is not None:
        profiler.stop()
        profiler.export_chrome_trace(f"{options.trace}.{rank}")
        # Capture lets go of the events at once, so this does too; the object is part of a cycle.
        profiler.profiler = None
    if rank == 0:
        times = {"before": before, "inside": inside, "export": time.perf_counter() - end}
        print(json.dumps(times | {"ratio before": ratio_before, "ratio inside": ratio}), flush=True)
    dist.destroy_process_group()


def _take_gpu(rank: int, ranks: int) -> None:
    """The ranks' GPUs in turn; where there are fewer, NCCL takes ranks on one GPU for those of several hosts."""
    node, gpu = divmod(rank, torch.cuda.device_count())
    if ranks > torch.cuda.device_count():
        os.environ |= {"NCCL_HOSTID": f"node{node}", "NCCL_SOCKET_IFNAME": "lo"}
    torch.cuda.set_device(gpu)


if __name__ == "__main__":
    main()
