"""Several windows of a program that goes on: as of a server, whose traces are there while it lives."""

import gzip
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.capturing import complete, finish, free_port, launch, run_file, survivors, wait_until
from tests.commands import refused, traceana
from traceana.trace.discover import discover


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a server that lives until the tests are over, and then ends well."""
    folder = tmp_path_factory.mktemp("server")
    stop = folder / "stop"
    command = [sys.executable, "-m", "tests.integration.server_ranks", str(stop), free_port()]
    process = launch(folder, command, "--duration", "0.3")
    try:
        wait_until(lambda: "0–1 published" in status(folder, 1))
        yield folder
    finally:
        stop.touch()
        code, _, stderr = finish(process, folder)
    assert code == 0, stderr
    assert run_file(folder)["exit_code"] == 0
    assert survivors(folder) == {}


def test_a_kill_loses_one_window_and_old_ones_are_removed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.integration.server_ranks", str(tmp_path / "stop"), free_port()]
    process = launch(tmp_path, command, "--duration", "0.1", "--every", "0.3s", "--keep", "1")
    run = tmp_path / "run"
    wait_until((run / "window3" / "run.json").exists)
    wait_until(lambda: not (run / "rank0.json.gz").exists())
    pids = [entry["pid"] for entry in run_file(tmp_path)["ranks"]]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    code, _, stderr = finish(process, tmp_path)
    assert code == signal.SIGKILL
    assert "removed" not in stderr
    assert {entry["reason"] for entry in run_file(tmp_path)["ranks"]} == {
        "removed, because --keep 1 keeps newer windows"
    }
    found = sorted(run.glob("window*"))
    whole = [window for window in found if complete(ranks(window)) == (0, 1)]
    assert len(whole) >= 1
    assert len(found) - len(whole) <= 1
    assert [path.name for path in run.iterdir() if path not in found] == ["run.json"]


def status(folder: Path, number: int) -> str:
    """The line about this window; empty where there is none, or no run yet."""
    if not (folder / ".run.scratch" / "asked").is_dir():
        return ""
    lines = traceana("window", "status", folder / "run").splitlines()
    return next((line for line in lines if line.startswith(f"window {number}:")), "")


def ranks(folder: Path) -> dict[int, dict[str, Any]]:
    return {entry["rank"]: entry for entry in json.loads((folder / "run.json").read_text())["ranks"]}


def sequence(path: Path) -> list[int]:
    with gzip.open(path) as file:
        events = json.load(file)["traceEvents"]
    return sorted(event["args"]["Seq"] for event in events if "Seq" in event.get("args", {}))


def test_windows_of_a_server_are_read_while_it_lives(server: Path) -> None:
    run = server / "run"
    assert run_file(server)["exit_code"] is None
    assert complete(ranks(run)) == (0, 1)
    said = traceana("window", "open", run, "--max-collectives", "10")
    assert said == f"window 2: ranks 0–1 waiting; {run / 'window2'}\n"
    wait_until(lambda: "0–1 published" in status(server, 2))
    assert {entry["reason"] for entry in ranks(run / "window2").values()} == {"--max-collectives were recorded"}
    traceana("window", "open", run, "--seconds", "60")
    wait_until(lambda: "0–1 recording" in status(server, 3))
    assert "window 3 is open on ranks 0–1" in refused("window", "open", run)
    closed = traceana("window", "close", run)
    assert closed == f"window 3: ranks 0–1 published; {run / 'window3'}\n"
    found = discover([run]).runs
    assert [one.label for one in found] == ["run window 1", "run window 2", "run window 3"]
    assert [len(one.ranks) for one in found] == [2, 2, 2]
    assert "this is window 2 of its command, opened at 2" in found[1].notes[0]
    assert [one.manifest.setup.exit_code for one in found if one.manifest.setup] == [None] * 3


def test_a_later_window_opens_on_all_ranks_at_one_collective(server: Path) -> None:
    number = 2 + len(list((server / "run").glob("window*")))
    traceana("window", "open", server / "run", "--max-collectives", "5")
    wait_until(lambda: "0–1 published" in status(server, number))
    first, second = (sequence(server / "run" / f"window{number}" / f"rank{rank}.json.gz") for rank in range(2))
    assert len(first) == 5
    assert first == second


def test_what_cannot_be_asked_for_is_refused(server: Path, tmp_path: Path) -> None:
    assert "no window is open" in refused("window", "close", server / "run")
    assert "ask for 20000 at most" in refused("window", "open", server / "run", "--max-collectives", "20001")
    assert "no program runs under capture there" in refused("window", "open", tmp_path / "run")
