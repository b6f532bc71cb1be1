"""What capture costs inside its window: no profiler, plain torch.profiler and capture, as medians and ratios.

Run it as `python tests/bench/capture_overhead.py`; one gloo rank times its own loop of small operators and collectives.
"""

import statistics
import subprocess
import sys
import tempfile

REPEATS = 3
WORKLOAD = """
import os, sys, time, contextlib
import torch, torch.distributed as dist
os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29611", RANK="0", WORLD_SIZE="1")
torch.set_num_threads(1)
dist.init_process_group("gloo")
x = torch.ones(256, 256)
profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
with profiler if sys.argv[1] == "plain" else contextlib.nullcontext():
    dist.all_reduce(x)
    begin = time.perf_counter()
    for _ in range(2000):
        y = torch.relu(x @ x) * 0.5
        dist.all_reduce(y)
    print(time.perf_counter() - begin)
dist.destroy_process_group()
"""


def seconds(kind: str, folder: str) -> float:
    """Time of the workload's loop, as the workload measured it itself."""
    command = [sys.executable, "-c", WORKLOAD, kind]
    if kind == "capture":
        command = [sys.executable, "-m", "traceana", "capture", "-o", folder, "--force", "--", *command]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[0])


def main() -> None:
    """Print one line per kind."""
    kinds = ("none", "plain", "capture")
    with tempfile.TemporaryDirectory() as folder:
        rounds = [[seconds(kind, folder) for kind in kinds] for _ in range(REPEATS)]
    medians = dict(zip(kinds, map(statistics.median, zip(*rounds, strict=True)), strict=True))
    for kind, median in medians.items():
        print(
            f"{kind:8} {median:.3f} s  {median / medians['none']:.3f} x none  {median / medians['plain']:.3f} x plain"
        )


if __name__ == "__main__":
    main()
