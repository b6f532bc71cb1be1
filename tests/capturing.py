"""Running `traceana capture` as a user does, and what must hold after it, whatever way the run ended."""

import contextlib
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.warm import ALL, PIPE, Process

Launched = subprocess.Popen[str] | Process
WORKLOAD = str(Path(__file__).with_name("ulysses_block.py"))
LIMIT_S = 60


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def workload(*options: str) -> list[str]:
    return [sys.executable, WORKLOAD, "--port", free_port(), "--seq", "64", "--layers", "1", *options]


def launch(
    folder: Path,
    command: list[str],
    *options: str,
    launcher: tuple[str, str] = ("-m", "traceana"),
    generations: int = ALL,
    stdin: int = PIPE,
    stderr: int = PIPE,
) -> Launched:
    """Start the launcher. So many generations of Pythons, of which it is the first, are forks of the tests' node."""
    words = [*launcher, "capture", "-o", str(folder), *options, "--", *command]
    # The marker is inherited by every process of the run, so that a survivor can be found by it.
    environment = {**os.environ, "TRACEANA_TEST_RUN": str(folder)}
    if generations:
        return Process(words, env=environment, generations=generations, stdin=stdin, stderr=stderr)
    argv = [sys.executable, *words]
    return subprocess.Popen(argv, stdin=stdin, stdout=PIPE, stderr=stderr, text=True, env=environment)


def complaints(stderr: str) -> list[str]:
    """What traceana says on stderr, but for where the traces are and what to do with them."""
    end = ("traceana: the traces are in ", "traceana: next: ")
    return [line for line in stderr.splitlines() if "traceana: " in line and not line.startswith(end)]


def finish(process: Launched, folder: Path, stdin: str | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; a run that goes on for too long is killed, and fails the test with its output."""
    try:
        stdout, stderr = process.communicate(stdin, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        named = survivors(folder)
        for pid in named:
            os.kill(pid, signal.SIGKILL)
        raise AssertionError((named, process.communicate())) from None
    return process.wait(), stdout, stderr


def run(
    folder: Path, command: list[str], *options: str, stdin: str | None = None, generations: int = ALL
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    return finish(launch(folder, command, *options, generations=generations), folder, stdin)


def survivors(folder: Path) -> dict[int, str]:
    """Command lines of the processes that a run in the folder left, by pid."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"TRACEANA_TEST_RUN={folder}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = (process / "cmdline").read_text()
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def run_file(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "run" / "run.json").read_text())
    assert isinstance(content, dict)
    return content


def complete(ranks: dict[int, dict[str, Any]]) -> tuple[int, ...]:
    return tuple(rank for rank, entry in ranks.items() if entry["outcome"] == "complete")


def check(folder: Path, stderr: str) -> dict[int, dict[str, Any]]:
    """What must hold after every ending; returns the ranks of run.json."""
    content = run_file(folder)
    ranks = content["ranks"]
    published = {"run.json", *(log["file"] for log in content["nccl"]["ranks"])}
    for entry in ranks:
        if entry["outcome"] == "complete":
            with gzip.open(folder / "run" / entry["file"]) as file:
                trace = json.load(file)
            assert trace["distributedInfo"]["rank"] == entry["rank"]
            published.add(entry["file"])
        else:
            assert entry["reason"]
            assert f"no trace of rank {entry['rank']}: {entry['reason']}" in stderr
    assert {path.name for path in (folder / "run").iterdir()} == published
    assert [path.name for path in folder.iterdir()] == ["run"]
    assert survivors(folder) == {}
    return {entry["rank"]: entry for entry in ranks}
