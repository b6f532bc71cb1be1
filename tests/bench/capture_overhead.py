"""What capture costs: no profiler, plain torch.profiler with the same activities, and capture.

Run it as `python tests/bench/capture_overhead.py [--repeats N] [--device cuda]`: one rank times its own loop of small
operators and collectives before the window and inside it, and the kinds take turns, so that a slow minute of the
machine hits all. Export is from the window's end until the program goes on, with the trace on disk as plain JSON.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

KINDS = ("none", "plain", "capture")
ROUNDS = 12
CALLS = 400
WORKLOAD = """
import json, os, sys, time
import torch, torch.distributed as dist
kind, device, port, calls, rounds, folder = sys.argv[1:]
os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, RANK="0", WORLD_SIZE="1")
torch.set_num_threads(1)
dist.init_process_group("gloo" if device == "cpu" else "nccl")
x = torch.ones(64, 64, device=device)
def step():
    y = torch.relu(x @ x) * 0.5
    dist.all_reduce(y)
def wait():
    if device == "cuda": torch.cuda.synchronize()
def loop():
    wait()
    begin = time.perf_counter()
    for _ in range(int(calls)): step()
    wait()
    return (time.perf_counter() - begin) / int(calls) * 1e6
activities = [torch.profiler.ProfilerActivity.CPU]
if device == "cuda": activities.append(torch.profiler.ProfilerActivity.CUDA)
loop()
before = [loop() for _ in range(int(rounds))]
if kind == "plain":
    profiler = torch.profiler.profile(activities=activities)
    profiler.start()
import work
work.begin()
inside = [loop() for _ in range(int(rounds))]
begin = time.perf_counter()
if kind == "plain":
    profiler.stop()
    profiler.export_chrome_trace(folder + "/plain.json")
dist.destroy_process_group()
print(json.dumps({"before": min(before), "inside": min(inside), "export": time.perf_counter() - begin}))
"""


def measure(kind: str, device: str, port: int, folder: str) -> dict[str, float]:
    """Microseconds an iteration before and inside the window, and seconds of export, as the workload saw them."""
    command = [sys.executable, "-c", WORKLOAD, kind, device, str(port), str(CALLS), str(ROUNDS), folder]
    if kind == "capture":
        options = [
            "--start-on",
            "work:begin",
            "--duration",
            "600",
            "--max-collectives",
            "1000000",
            "-o",
            folder,
            "--force",
        ]
        command = [sys.executable, "-m", "traceana", "capture", *options, "--", *command]
    (Path(folder) / "work.py").write_text("def begin(): pass\n")
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=folder)
    times: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return times


def main() -> None:
    """Print medians of each kind, and the median over the rounds of each kind's ratio to its neighbours in time."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            {kind: measure(kind, options.device, 29611 + 3 * turn + i, folder) for i, kind in enumerate(KINDS)}
            for turn in range(options.repeats)
        ]
    for part, unit in (("before", "us"), ("inside", "us"), ("export", "s")):
        for kind in KINDS:
            median = statistics.median(run[kind][part] for run in runs)
            ratios = [statistics.median(run[kind][part] / run[base][part] for run in runs) for base in KINDS[:2]]
            print(f"{part:7} {kind:8} {median:10.3f} {unit:2}  {ratios[0]:6.3f} x none  {ratios[1]:6.3f} x plain")


if __name__ == "__main__":
    main()
