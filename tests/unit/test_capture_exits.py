"""Every way out exports first, and an export that is stuck ends nothing but itself."""

import atexit
import faulthandler
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from traceana_capture.agent import exits

# Mypy knows that these never come back, which here they do.
SYSTEM: Any = os


class Exporting:
    """Stands for a window."""

    def __init__(self) -> None:
        self.recording = True
        self.left = 0
        self.stuck = threading.Event()
        self.stuck.set()

    def is_recording(self) -> bool:
        return self.recording

    def leave(self) -> None:
        self.left += 1
        self.stuck.wait()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[tuple[Any, ...]]]:
    """A window, and the ways out that were taken, which lead back."""
    taken: list[tuple[Any, ...]] = []

    def run(*args: Any) -> None:
        taken.append(("exec", *args))
        raise FileNotFoundError(args[0])

    monkeypatch.setattr(os, "_exit", lambda status: taken.append(("_exit", status)))
    monkeypatch.setattr(os, "execv", run)
    monkeypatch.setattr(os, "execve", run)
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *_, **__: None)
    monkeypatch.setattr(atexit, "register", lambda _function: None)
    dist: Any = type("dist", (), {"destroy_process_group": lambda *_: None, "distributed_c10d": type("c10d", (), {})})
    window: Any = Exporting()
    exits.close_before_exit(dist, window)
    return window, taken


def test_leaving_exports_first(watched: tuple[Any, list[tuple[Any, ...]]]) -> None:
    window, taken = watched
    SYSTEM._exit(3)
    assert (window.left, taken) == (1, [("_exit", 3)])


def test_another_program_is_run_after_the_export_if_it_is_there(
    watched: tuple[Any, list[tuple[Any, ...]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, taken = watched
    program = tmp_path / "program"
    monkeypatch.setenv("PATH", f"/no/such/folder:{tmp_path}")
    with pytest.raises(FileNotFoundError):
        SYSTEM.execvp("program", ["program", "word"])
    assert (window.left, len(taken)) == (0, 2)
    program.write_text("")
    # What the others of os.exec* come to.
    with pytest.raises(FileNotFoundError):
        SYSTEM.execvp("program", ["program", "word"])
    assert window.left == 1
    assert os.fsdecode(taken[-1][1]) == str(program)


def test_a_stuck_export_does_not_keep_the_process_from_its_end(
    watched: tuple[Any, list[tuple[Any, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    window, taken = watched
    monkeypatch.setattr(exits, "EXPORT_S", 0.01)
    window.stuck.clear()
    leaving = threading.Thread(target=SYSTEM._exit, args=(7,))
    leaving.start()
    while not taken:
        threading.Event().wait(0.001)
    assert taken == [("_exit", 7)]
    window.stuck.set()
    leaving.join()


def test_a_process_that_records_nothing_just_leaves(watched: tuple[Any, list[tuple[Any, ...]]]) -> None:
    window, taken = watched
    window.recording = False
    before = threading.active_count()
    SYSTEM._exit(0)
    assert (taken, threading.active_count()) == ([("_exit", 0)], before)
