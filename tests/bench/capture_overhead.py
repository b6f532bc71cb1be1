"""What capture costs: no profiler, plain torch.profiler with the same activities, and capture.

Run it as `python -m tests.bench.capture_overhead [--repeats N] [--device cuda|fake] [--ranks N] [--operators N]`. The
kinds take turns, so that a slow minute of the machine hits all, and of a workload's rounds the fastest counts. Export
is from the window's end until the program goes on, with the trace on disk as plain JSON. The last lines compare rounds
of one process, which tells more than two processes do: these differ by several percent where nothing else does.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile

KINDS = ("none", "plain", "capture")
WINDOW = ("--step-on", "tests.bench.capture_step:step", "--steps", "1", "--duration", "600", "--force")


def measure(kind: str, options: argparse.Namespace, port: int, folder: str) -> dict[str, float]:
    """What the workload printed."""
    workload = [sys.executable, "-m", "tests.bench.capture_workload", kind, options.device]
    workload += [
        "--ranks",
        str(options.ranks),
        "--operators",
        str(options.operators),
        "--port",
        str(port),
        "--trace",
        f"{folder}/plain.json",
    ]
    capture = [sys.executable, "-m", "traceana", "capture", "-o", folder, *WINDOW, "--"]
    command = [*(capture if kind == "capture" else []), *workload]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    times: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return times


def main() -> None:
    """Print the median of each kind, and the median over the turns of its ratio to the other kinds of its turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda", "fake"), default="cpu", help="fake: calls that do nothing")
    parser.add_argument("--ranks", type=int, default=1)
    # sglang's Wan ran 238 to 246 operators for each collective where it was captured.
    parser.add_argument("--operators", type=int, default=240, help="for each collective")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        turns = []
        for turn in range(options.repeats):
            turns.append({kind: measure(kind, options, 29611 + 3 * turn + i, folder) for i, kind in enumerate(KINDS)})
            print(f"turn {turn + 1} of {options.repeats}: {turns[-1]}", file=sys.stderr)
    for part, unit in (("before", "us"), ("inside", "us"), ("export", "s")):
        for kind in KINDS:
            median = statistics.median(turn[kind][part] for turn in turns)
            ratios = [statistics.median(turn[kind][part] / turn[base][part] for turn in turns) for base in KINDS[:2]]
            print(f"{part:7} {kind:8} {median:10.3f} {unit:2}  {ratios[0]:8.3f} x none  {ratios[1]:6.3f} x plain")
    for part in ("before", "inside"):
        for kind in KINDS:
            ratio = statistics.median(turn[kind][f"ratio {part}"] for turn in turns)
            print(f"{part:7} {kind:8} {ratio:6.3f} x torch's own collective in the same process")


if __name__ == "__main__":
    main()
