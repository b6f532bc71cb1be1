"""Every way a run can end: each rank's trace is complete, or named with its reason; nothing is left half-written."""

import contextlib
import dataclasses
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

import pytest

WORKLOAD = str(Path(__file__).parents[1] / "ulysses_block.py")
LIMIT_S = 120
TIMED_OUT = 124
COLLECTIVES_PER_STEP = 11  # broadcast, all-gather, and in each of 3 layers two all-to-alls and an all-reduce


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def workload(*options: str) -> list[str]:
    return [sys.executable, WORKLOAD, "--port", free_port(), "--seq", "64", *options]


def launch(folder: Path, command: list[str], *options: str, limit_kib: int | None = None) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "traceana", "capture", "-o", str(folder), *options, "--", *command]
    # The marker is inherited by every process of the run, so that a survivor can be found by it.
    environment = {**os.environ, "TRACEANA_TEST_RUN": str(folder)}
    if limit_kib is not None:
        argv = ["bash", "-c", f'ulimit -f {limit_kib}; exec "$@"', "bash", *argv]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)


def survivors(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"TRACEANA_TEST_RUN={folder}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text())
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def check(folder: Path, stderr: str) -> dict[int, dict[str, Any]]:
    """What must hold after every ending; returns the ranks of run.json."""
    run = json.loads((folder / "run" / "run.json").read_text())
    published = {"run.json"}
    for entry in run["ranks"]:
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
    assert survivors(folder) == []
    return {entry["rank"]: entry for entry in run["ranks"]}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    options: tuple[str, ...]
    code: int
    complete: tuple[int, ...]
    capture: tuple[str, ...] = ()


ENDINGS = {
    "normal": Ending(options=(), code=0, complete=(0, 1)),
    "fork": Ending(options=("--start", "fork"), code=0, complete=(0, 1)),
    "forkserver": Ending(options=("--start", "forkserver"), code=0, complete=(0, 1)),
    "os._exit": Ending(options=("--die", "exit"), code=7, complete=(0, 1)),
    "exception": Ending(options=("--die", "raise"), code=1, complete=(0, 1)),
    "rank killed": Ending(options=("--die", "sigkill"), code=9, complete=(0,)),
    "window over before the kill": Ending(
        options=("--die", "sigkill", "--delay-rank", "0", "--delay-ms", "2000"),
        code=9,
        complete=(0, 1),
        capture=("--duration", "0.5"),
    ),
    "hang": Ending(
        options=("--die", "hang"), code=TIMED_OUT, complete=(0, 1), capture=("--timeout", "15", "--all-threads")
    ),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_ending(tmp_path: Path, ending: Ending) -> None:
    process = launch(tmp_path, workload(*ending.options), *ending.capture)
    _, stderr = process.communicate(timeout=LIMIT_S)
    ranks = check(tmp_path, stderr)
    assert process.returncode == ending.code, stderr
    assert tuple(rank for rank, entry in ranks.items() if entry["outcome"] == "complete") == ending.complete, stderr
    assert set(ranks) == {0, 1}


def killed(way: str) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("killed_ranks.py")), way, free_port()]


@pytest.mark.parametrize(("way", "complete"), [("terminate", (0, 1)), ("term-one", (0, 1)), ("kill-all", ())])
def test_ranks_that_are_ended_from_outside(tmp_path: Path, way: str, complete: tuple[int, ...]) -> None:
    process = launch(tmp_path, killed(way))
    _, stderr = process.communicate(timeout=LIMIT_S)
    ranks = check(tmp_path, stderr)
    assert process.returncode == 3
    assert tuple(rank for rank, entry in ranks.items() if entry["outcome"] == "complete") == complete, stderr
    assert set(ranks) == {0, 1}


@pytest.mark.parametrize("torch", [True, False])
def test_a_killed_launchers_run_is_ended_and_published(tmp_path: Path, torch: bool) -> None:
    process = launch(tmp_path, killed("kill-launcher") if torch else ["bash", "-c", "kill -KILL $PPID; sleep 1000"])
    _, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == -signal.SIGKILL
    wait_until(lambda: survivors(tmp_path) == [])
    ranks = check(tmp_path, stderr)
    assert [entry["outcome"] for entry in ranks.values()] == ["complete"] * 2 * torch
    assert json.loads((tmp_path / "run" / "run.json").read_text())["exit_code"] == 128 + signal.SIGKILL


def test_a_run_that_goes_on_is_not_replaced(tmp_path: Path) -> None:
    first = launch(tmp_path, ["bash", "-c", "echo up; read line"])
    assert first.stdout is not None
    first.stdout.readline()
    second = launch(tmp_path, ["true"], "--force")
    _, stderr = second.communicate(timeout=LIMIT_S)
    assert second.returncode == 2
    assert "goes on" in stderr
    first.communicate("\n", timeout=LIMIT_S)
    check(tmp_path, "")


def test_a_full_disk_leaves_a_reason(tmp_path: Path) -> None:
    process = launch(tmp_path, workload("--start", "fork"), limit_kib=100)
    _, stderr = process.communicate(timeout=LIMIT_S)
    ranks = check(tmp_path, stderr)
    assert process.returncode == 0
    assert [entry["outcome"] for entry in ranks.values()] == ["missing", "missing"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_to_the_launcher_flushes_first(tmp_path: Path, number: signal.Signals) -> None:
    process = launch(tmp_path, workload("--die", "hang", "--start", "fork"), "--duration", "1")
    assert process.stderr is not None
    # torch warns at the first all-gather, so the window is open from this line on
    for line in process.stderr:
        if "deprecated" in line:
            break
    process.send_signal(number)
    _, stderr = process.communicate(timeout=LIMIT_S)
    ranks = check(tmp_path, stderr)
    assert process.returncode in (128 + number, 1)
    assert set(ranks) == {0, 1}


def test_every_collective_has_its_size(tmp_path: Path) -> None:
    process = launch(tmp_path, workload("--steps", "2"))
    process.communicate(timeout=LIMIT_S)
    for rank in (0, 1):
        with gzip.open(tmp_path / "run" / f"rank{rank}.json.gz") as file:
            events = json.load(file)["traceEvents"]
        sized = [event["args"] for event in events if "In msg nelems" in event.get("args", {})]
        assert len(sized) == 2 * COLLECTIVES_PER_STEP
        # qkv of 32 tokens, 3 * 1024 each, and the attention's output
        sent = [args["In msg nelems"] for args in sized if args["Collective name"] == "all_to_all"]
        assert sorted(set(sent)) == [32 * 1024, 32 * 3 * 1024]
        assert not any(event["name"].startswith("traceana::") for event in events)


def test_only_the_ranks_asked_for_with_their_nccl_settings(tmp_path: Path) -> None:
    options = ("--ranks", "1", "--nccl", "NCCL_PROTO=Simple", "--stacks", "--memory")
    process = launch(tmp_path, workload("--steps", "2"), *options)
    _, stderr = process.communicate(timeout=LIMIT_S)
    ranks = check(tmp_path, stderr)
    assert ranks[0]["reason"] == "not among --ranks"
    assert ranks[1]["outcome"] == "complete"
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["nccl"]["set"] == {"NCCL_PROTO": "Simple"}


def test_torchrun_through_a_shell(tmp_path: Path) -> None:
    torchrun = f"{sys.executable} -m torch.distributed.run --nproc-per-node 2 --master-port {free_port()}"
    process = launch(tmp_path, ["bash", "-c", f"{torchrun} {WORKLOAD} --torchrun --seq 64"])
    stdout, stderr = process.communicate(timeout=LIMIT_S)
    assert "generated: 6 steps on 2 ranks" in stdout
    assert process.returncode == 0
    assert {entry["outcome"] for entry in check(tmp_path, stderr).values()} == {"complete"}


def test_without_torch_the_command_runs_as_it_is(tmp_path: Path) -> None:
    process = launch(tmp_path, ["bash", "-c", "echo out; echo err >&2; exit 5"])
    stdout, stderr = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, stdout) == (5, "out\n")
    assert "err\n" in stderr
    assert "no rank appeared" in stderr


def test_the_commands_own_signal_is_passed_on(tmp_path: Path) -> None:
    process = launch(tmp_path, ["bash", "-c", "kill -KILL $$"])
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 128 + signal.SIGKILL


def test_a_second_run_needs_force_which_replaces_only_that_run(tmp_path: Path) -> None:
    launch(tmp_path, ["true"]).communicate(timeout=LIMIT_S)
    (tmp_path / "run" / "notes.txt").write_text("mine")
    refused = launch(tmp_path, ["false"])
    _, stderr = refused.communicate(timeout=LIMIT_S)
    assert refused.returncode == 2
    assert "--force" in stderr
    forced = launch(tmp_path, ["true"], "--force")
    forced.communicate(timeout=LIMIT_S)
    assert forced.returncode == 0
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_an_unwritable_folder_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    process = launch(tmp_path / "file", ["echo", "ran"])
    stdout, stderr = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, stdout) == (2, "")
    assert "cannot write" in stderr


def test_a_backend_that_no_adapter_took_is_an_error(tmp_path: Path) -> None:
    process = launch(tmp_path, workload("--steps", "1"), "--backend", "torch")
    _, stderr = process.communicate(timeout=LIMIT_S)
    assert "error: --backend torch changed nothing" in stderr
    backend = json.loads((tmp_path / "run" / "run.json").read_text())["backend"]
    assert (backend["asked"], backend["adapter"], backend["seen"]) == ("torch", None, ["torch.distributed"])
    assert process.returncode == 0
