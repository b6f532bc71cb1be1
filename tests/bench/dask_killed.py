"""`python -m tests.bench.dask_killed PATH`: analyzes on a Dask scheduler whose workers die, and here; compares reports.

Needs `pip install distributed`. Scheduler and workers are processes on loopback; one worker is killed while it works.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from distributed import Client

_PORT = 18786
_ADDRESS = f"tcp://127.0.0.1:{_PORT}"


def main(path: Path) -> None:
    """Two analyses and what became of the workers."""
    with tempfile.TemporaryDirectory() as scratch:
        started = [_start("scheduler", "--host", "127.0.0.1", "--port", str(_PORT), "--dashboard-address", ":0")]
        started += [_start("worker", _ADDRESS, "--nthreads", "1", "--no-dashboard", "--no-nanny") for _ in range(2)]
        try:
            with Client(_ADDRESS, timeout="30s") as client:
                client.wait_for_workers(2)
                engine = _analyze(path, Path(scratch, "engine"), f"--executor=dask:{_ADDRESS}")
                while not any(client.processing().values()):
                    time.sleep(0.01)
                started[1].kill()
                code = engine.wait()
                left = len(client.scheduler_info()["workers"])
            here = _analyze(path, Path(scratch, "here")).wait()
        finally:
            for process in started:
                process.kill()
        same = Path(scratch, "engine/report.json").read_bytes() == Path(scratch, "here/report.json").read_bytes()
        print(
            f"exit codes {code} and {here}; {left} of 2 workers left; report.json is {'the same' if same else 'OTHER'}"
        )


def _start(role: str, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "dask", role, *arguments], stderr=subprocess.DEVNULL)


def _analyze(path: Path, output: Path, *options: str) -> "subprocess.Popen[bytes]":
    argv = [sys.executable, "-m", "traceana", "analyze", str(path), "-o", str(output), "--no-cache", *options]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.bench.dask_killed PATH")
    main(Path(sys.argv[1]))
