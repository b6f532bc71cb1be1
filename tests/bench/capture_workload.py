"""One rank's loop of small operators and collectives, which times itself; started by capture_overhead.py.

Prints, as JSON, microseconds an iteration before the window and inside it, and the seconds until the trace is on disk.
"""

import argparse
import json
import os
import time

import torch
import torch.distributed as dist

from tests.bench import capture_step

WARM_UP = 500


class Loop:
    """`operators` elementwise operators and a collective, so many times, in rounds; the fastest round counts."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.tensor = torch.ones(64, 64, device=options.device)
        # On the CPU the thread's own time, which neighbours on the machine disturb less.
        self.clock = time.perf_counter if options.device == "cuda" else time.thread_time

    def run(self, calls: int) -> float:
        """Microseconds an iteration."""
        self._wait()
        begin = self.clock()
        for _ in range(calls):
            tensor = self.tensor
            for _ in range(self.options.operators // 2):
                tensor = torch.relu(tensor * 0.5)
            dist.all_reduce(tensor)
        self._wait()
        return (self.clock() - begin) / calls * 1e6

    def best(self) -> float:
        """Microseconds an iteration of the fastest round."""
        return min(self.run(self.options.calls) for _ in range(self.options.rounds))

    def _wait(self) -> None:
        if self.options.device == "cuda":
            torch.cuda.synchronize()


def main() -> None:
    """Time the loop before the window, inside it, and its end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    parser.add_argument("device")
    parser.add_argument("--trace", default="plain.json")
    for name in ("operators", "port", "calls", "rounds"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(options.port), RANK="0", WORLD_SIZE="1")
    torch.set_num_threads(1)
    if options.device == "cuda":
        torch.cuda.set_device(0)
    dist.init_process_group("nccl" if options.device == "cuda" else "gloo")
    activities = [torch.profiler.ProfilerActivity.CPU]
    if options.device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    loop = Loop(options)
    loop.run(WARM_UP)
    before = loop.best()
    profiler = torch.profiler.profile(activities=activities) if options.kind == "plain" else None
    if profiler is not None:
        profiler.start()
    inside, end = capture_step.step(loop.best)
    if profiler is not None:
        profiler.stop()
        profiler.export_chrome_trace(options.trace)
        # Capture lets go of the events at once, so this does too; the object is part of a cycle.
        profiler.profiler = None
    print(json.dumps({"before": before, "inside": inside, "export": time.perf_counter() - end}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
