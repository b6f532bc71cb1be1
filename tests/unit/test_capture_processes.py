import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from traceana_capture.launcher import collect, launch, processes
from traceana_capture.launcher.processes import of_run
from traceana_capture.launcher.run_folder import Claim

from tests.capturing import wait_until


@contextmanager
def running(script: str, environment: dict[str, str]) -> Iterator[tuple[int, list[int]]]:
    """A shell that prints pids of what it started, and their pids."""
    shell = subprocess.Popen(
        ["bash", "-c", script + "; echo; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], **environment},
        start_new_session=True,
    )
    assert shell.stdout is not None
    pids = [int(pid) for pid in shell.stdout.readline().split()]
    try:
        yield shell.pid, pids
    finally:
        for pid in [*pids, shell.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shell.communicate()


def test_what_publishes_a_trace_is_not_ended_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window's trace may be under way when the command ends; it has the run's variable for the guard."""
    publishers = collect.Publishers()
    monkeypatch.setattr(launch, "PUBLISHERS", publishers)
    others = launch._children()
    nothing: Any = SimpleNamespace(flush=lambda: None, busy=lambda: False)
    claim = Claim(folder=tmp_path, scratch=tmp_path, lock=-1)
    launched = launch.Launch(nothing, claim, nothing, [], nothing, ())
    with running("sleep 60 & echo -n $!", variable(tmp_path)) as (shell, (sleeper,)):
        publishers.pids |= {shell, sleeper}
        launched._clear(-1, others)
        assert of_run(tmp_path, None) == {shell, sleeper}
        publishers.pids.clear()
        launched._clear(-1, others)
        assert of_run(tmp_path, None) == set()


def test_children_from_before_are_neither_ended_nor_waited_for(tmp_path: Path) -> None:
    """A launcher within a process that has others to look after."""
    sleeps = subprocess.Popen(["sleep", "60"], start_new_session=True)
    ended = subprocess.Popen(["sh", "-c", "exit 3"], start_new_session=True)
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    others = launch._children()
    assert {sleeps.pid, ended.pid} <= others
    orphan = subprocess.Popen(["sleep", "60"], start_new_session=True)
    assert orphan.pid in launch._orphans(others)
    assert not {sleeps.pid, ended.pid} & launch._orphans(others)
    orphan.kill()
    os.waitid(os.P_PID, orphan.pid, os.WEXITED | os.WNOWAIT)
    launch._reap(others)
    assert orphan.pid not in launch._children()
    assert (ended.wait(), sleeps.poll()) == (3, None)
    sleeps.kill()
    for process in (sleeps, orphan):
        process.wait()


def variable(scratch: Path) -> dict[str, str]:
    return {"TRACEANA_CAPTURE": json.dumps({"socket": f"{scratch}/control", "workdir": str(scratch)})}


def test_a_session_of_its_own_does_not_hide_a_process(tmp_path: Path) -> None:
    with running("setsid sleep 99 & printf $!", variable(tmp_path)) as (shell, (sleeper,)):
        assert of_run(tmp_path, None) == {shell, sleeper}


def test_nor_does_an_environment_without_the_variable(tmp_path: Path) -> None:
    with running("env -i sleep 99 & printf '%s ' $!; env -i setsid sleep 99 & printf $!", variable(tmp_path)) as (
        shell,
        sleepers,
    ):
        assert of_run(tmp_path, None) == {shell, *sleepers}


def test_the_session_is_enough_where_no_variable_is_left(tmp_path: Path) -> None:
    with running("sleep 99 & printf $!", {}) as (shell, (sleeper,)):
        assert of_run(tmp_path, None) == set()
        assert of_run(tmp_path, shell) == {shell, sleeper}


@pytest.mark.parametrize("other", ["sibling", ".run.scratch-2", ".run.scratch/below"])
def test_another_runs_processes_are_left_alone(tmp_path: Path, other: str) -> None:
    with running("true", variable(tmp_path / other)):
        assert of_run(tmp_path / ".run.scratch", None) == set()


def test_the_end_comes_to_the_deaf_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "TERM_GRACE_S", 0.2)
    with running("trap '' TERM; setsid sleep 99 & printf $!", variable(tmp_path)):
        processes.end(lambda: of_run(tmp_path, None))
        assert of_run(tmp_path, None) == set()


def test_what_starts_meanwhile_ends_too(tmp_path: Path) -> None:
    parent = "(trap 'setsid sleep 99 & exit' TERM; printf $BASHPID; while :; do sleep 0.01; done) &"
    with running(parent, variable(tmp_path)):
        begin = time.monotonic()
        processes.end(lambda: of_run(tmp_path, None))
        assert of_run(tmp_path, None) == set()
        assert time.monotonic() - begin < processes.TERM_GRACE_S


def test_a_stray_process_does_not_drag_its_session_in(tmp_path: Path) -> None:
    """The variable may have come into a shell of the user's, whose other processes are none of ours."""
    marked = f"TRACEANA_CAPTURE='{variable(tmp_path)['TRACEANA_CAPTURE']}'"
    with running(f"sleep 99 & printf '%s ' $!; {marked} sleep 99 & printf $!", {}) as (_, (_, stray)):
        # Until it is exec'd it has the shell's environment.
        wait_until(lambda: of_run(tmp_path, None) != set())
        assert of_run(tmp_path, None) == {stray}
