"""Every way a run can end: each rank's trace is complete, or named with its reason; nothing is left half-written."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from traceana_capture.launcher.rescue import rescue_all

from tests.capturing import (
    WORKLOAD,
    check,
    complete,
    finish,
    free_port,
    launch,
    run,
    run_file,
    survivors,
    wait_until,
    workload,
)

TIMED_OUT = 124
BOTH = (0, 1)


def ranks(way: str) -> list[str]:
    return [sys.executable, "-m", "tests.integration.ending_ranks", way, free_port()]


def torchrun(*options: str) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port()]
    return [*launcher, WORKLOAD, "--torchrun", "--seq", "64", "--layers", "1", *options]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """`send` goes to the launcher once the ranks work; `says` is on stderr, before anything of ours."""

    command: Callable[[], list[str]]
    code: int
    complete: tuple[int, ...] = BOTH
    capture: tuple[str, ...] = ()
    send: signal.Signals | None = None
    says: str = ""


ENDINGS = {
    "normal return": Ending(command=lambda: ranks("return"), code=0),
    "exception": Ending(command=lambda: ranks("exception"), code=1, says="RuntimeError: asked to fail"),
    "sys.exit": Ending(command=lambda: ranks("sys.exit"), code=7),
    "os._exit": Ending(command=lambda: ranks("os._exit"), code=7),
    "SIGTERM to a rank": Ending(command=lambda: ranks("SIGTERM"), code=15),
    "SIGKILL of a rank": Ending(command=lambda: ranks("SIGKILL"), code=9, complete=(0,)),
    "SIGKILL of all ranks": Ending(command=lambda: ranks("all-killed"), code=9, complete=()),
    "SIGKILL of the launcher": Ending(command=lambda: ranks("launcher-killed"), code=-signal.SIGKILL),
    "SIGINT to the launcher": Ending(
        command=lambda: ranks("wait"), code=128 + signal.SIGINT, send=signal.SIGINT, says="KeyboardInterrupt"
    ),
    "SIGTERM to the launcher": Ending(command=lambda: ranks("wait"), code=128 + signal.SIGTERM, send=signal.SIGTERM),
    "hang, then SIGINT": Ending(command=lambda: ranks("hang"), code=128 + signal.SIGINT, send=signal.SIGINT),
    "hang, then a timeout": Ending(
        command=lambda: ranks("hang"), code=TIMED_OUT, capture=("--timeout", "5", "--all-threads")
    ),
    "killed after the window": Ending(
        command=lambda: workload("--start=fork", "--die=sigkill", "--delay-rank=0", "--delay-ms=1000"),
        code=9,
        capture=("--duration", "0.5"),
    ),
    "killed by its parent as in sglang": Ending(command=lambda: ranks("sglang"), code=15),
    "killed by its parent as in vLLM": Ending(command=lambda: ranks("vllm"), code=15),
    "killed by its parent at once": Ending(command=lambda: ranks("kill"), code=9),
    "killed by torchrun": Ending(command=lambda: torchrun("--die", "raise"), code=1, says="asked to fail"),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_ending(tmp_path: Path, ending: Ending) -> None:
    process = launch(tmp_path, ending.command(), *ending.capture)
    if ending.send is not None:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(ending.send)
    code, _, stderr = finish(process, tmp_path)
    wait_until(lambda: survivors(tmp_path) == {})
    entries = check(tmp_path, stderr)
    assert code == ending.code, stderr
    assert complete(entries) == ending.complete, stderr
    assert tuple(entries) == BOTH
    killed = ending.code == -signal.SIGKILL
    assert run_file(tmp_path)["exit_code"] == (128 + signal.SIGKILL if killed else ending.code)
    theirs, _, _ = stderr.partition("traceana:")
    assert ending.says in theirs


def test_what_was_exported_when_all_was_killed_at_once_is_rescued(tmp_path: Path) -> None:
    process, scratch = launch(tmp_path, ranks("told")), tmp_path / ".run.scratch"
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "working\n"
    wait_until(lambda: (scratch / "messages").read_text().count('"recording"') == len(BOTH))
    # A launcher that stands still publishes nothing.
    process.send_signal(signal.SIGSTOP)
    process.stdin.write("\n")
    process.stdin.flush()
    wait_until(lambda: len([*scratch.glob("*.calls")]) == len(BOTH))
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in survivors(tmp_path):
            os.kill(pid, number)
    assert finish(process, tmp_path)[0] == -signal.SIGKILL
    wait_until(lambda: survivors(tmp_path) == {})
    rescue_all(tmp_path / "run")
    assert complete(check(tmp_path, "")) == BOTH
    assert run_file(tmp_path)["exit_code"] == 128 + signal.SIGKILL


@pytest.mark.parametrize(
    ("script", "code"), [("kill -KILL $$", 137), ("kill -TERM $$", 143), ("exit 5", 5), ("exit 0", 0)]
)
def test_the_commands_own_end_is_passed_on(tmp_path: Path, script: str, code: int) -> None:
    assert run(tmp_path, ["bash", "-c", script])[0] == code


def test_a_timeout_ends_what_is_deaf_to_signals(tmp_path: Path) -> None:
    # What a shell ignores, so do the commands that it starts.
    deaf = ["bash", "-c", "trap '' TERM INT; setsid sleep 1000 & sleep 1000"]
    code, _, stderr = run(tmp_path, deaf, "--timeout", "0.5")
    assert code == TIMED_OUT
    assert "because --timeout 0.5 s was over (exit code 124)" in stderr
    check(tmp_path, stderr)


def test_a_killed_launcher_of_a_command_without_torch(tmp_path: Path) -> None:
    code, _, stderr = run(tmp_path, ["bash", "-c", "setsid sleep 1000 & kill -KILL $PPID; sleep 1000"])
    assert code == -signal.SIGKILL
    wait_until(lambda: survivors(tmp_path) == {})
    assert "because traceana was killed" in stderr
    assert check(tmp_path, stderr) == {}


def test_what_the_command_left_in_the_background_is_ended(tmp_path: Path) -> None:
    code, stdout, stderr = run(tmp_path, ["bash", "-c", "env -i setsid sleep 1000 & disown; echo done"])
    assert (code, stdout) == (0, "done\n")
    check(tmp_path, stderr)


def test_a_run_that_goes_on_is_not_replaced(tmp_path: Path) -> None:
    first = launch(tmp_path, ["bash", "-c", "echo up; read line"])
    assert first.stdout is not None
    first.stdout.readline()
    code, _, stderr = run(tmp_path, ["true"], "--force")
    assert code == 2
    assert "goes on" in stderr
    finish(first, tmp_path, "\n")
    check(tmp_path, "")


def test_a_second_run_needs_force_which_replaces_only_that_run(tmp_path: Path) -> None:
    run(tmp_path, ["true"])
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "run" / "rank5.json.gz").write_text("earlier")
    code, _, stderr = run(tmp_path, ["false"])
    assert code == 2
    assert "--force" in stderr
    assert run(tmp_path, ["no-such-command"], "--force")[0] == 2
    assert (tmp_path / "run" / "rank5.json.gz").exists()
    assert run(tmp_path, ["true"], "--force")[0] == 0
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"run.json", "notes.txt"}


def test_a_folder_that_cannot_be_made_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, stdout, stderr = run(tmp_path / "file", ["echo", "ran"])
    assert (code, stdout) == (2, "")
    assert "cannot write" in stderr


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A file system of memory on the folder."""
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    yield
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody may write to: root writes anywhere but on a read-only file system."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield folder
        return
    with mounted(folder, "ro"):
        yield folder


def test_an_unwritable_folder_is_refused_before_the_run(read_only: Path) -> None:
    code, stdout, stderr = run(read_only, ["echo", "ran"])
    assert (code, stdout) == (2, "")
    assert "cannot write" in stderr
    assert list(read_only.iterdir()) == []


@pytest.mark.parametrize("name", ["run", ".run.scratch"])
def test_a_file_in_the_place_of_a_folder_is_refused_and_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    code, stdout, stderr = run(tmp_path, ["echo", "ran"])
    assert (code, stdout) == (2, "")
    assert "choose another folder with -o" in stderr
    assert {path.name: path.is_file() and path.read_text() for path in tmp_path.iterdir()} == {name: "mine"}


WITH_SMALL_FILES = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 10, 100 << 10))
runpy.run_module("traceana", run_name="__main__", alter_sys=True)
"""


def test_files_that_may_not_grow_leave_a_reason(tmp_path: Path) -> None:
    process = launch(tmp_path, workload("--start=fork"), launcher=("-c", WITH_SMALL_FILES))
    code, _, stderr = finish(process, tmp_path)
    entries = check(tmp_path, stderr)
    assert code == 0
    assert complete(entries) == ()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "size=128k"):
        yield disk


def test_a_full_disk_leaves_a_reason(small_disk: Path) -> None:
    code, _, stderr = run(small_disk, workload("--start=fork"))
    entries = check(small_disk, stderr)
    assert code == 0
    assert complete(entries) == ()
    assert tuple(entries) == BOTH
