"""Who works in a scratch folder, as its lock and its signs of life tell."""

import fcntl
import os
import time
from pathlib import Path

import msgspec
import pytest
from traceana_capture import leftover, lock
from traceana_capture.launcher import launch
from traceana_capture.launcher.record import kept_plan
from traceana_capture.launcher.rescue import rescue_all
from traceana_capture.launcher.run_folder import claimed
from traceana_capture.lock import LOCK, SILENT_S, Machine, beat, here, holder, sign

from tests.capturing import wait_until
from tests.unit.test_capture_leftover import left
from traceana.errors import TraceanaError

__all__ = ["left"]


def signed(scratch: Path, machine: Machine, silent_s: float = 0.0) -> None:
    (scratch / LOCK).write_bytes(msgspec.json.encode(machine))
    at = time.time() - silent_s
    os.utime(scratch / LOCK, (at, at))


ELSEWHERE = Machine(host="gpu-7", kernel="another")


def test_a_lock_that_is_held_is_seen(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    descriptor = os.open(tmp_path / LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    sign(descriptor)
    found = holder(tmp_path)
    assert found is not None
    assert (found.host, found.note()) == (here().host, "")
    os.close(descriptor)
    assert holder(tmp_path) is None


@pytest.mark.parametrize(
    ("machine", "silent_s", "lives"),
    [
        (ELSEWHERE, 0.0, True),
        (ELSEWHERE, SILENT_S - 20, True),
        (ELSEWHERE, SILENT_S + 1, False),
        (Machine(host="a-container", kernel=here().kernel), 0.0, False),
        (Machine(host=here().host, kernel="another"), 0.0, True),
    ],
)
def test_who_works_on_another_machine_is_told_by_signs_of_life(
    machine: Machine, silent_s: float, lives: bool, tmp_path: Path
) -> None:
    signed(tmp_path, machine, silent_s)
    assert (holder(tmp_path) is not None) == lives
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_a_lock_of_an_older_version_says_nothing(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    assert holder(tmp_path) is None


def test_a_run_that_goes_on_elsewhere_is_not_rescued(left: Path, tmp_path: Path) -> None:
    signed(left, ELSEWHERE, 20.0)
    assert leftover.of_run(tmp_path / "run") == []
    with pytest.raises(TraceanaError, match=r"goes on.*gpu-7 gave a sign of life 20 s ago;.* try again in 40 s"):
        rescue_all(tmp_path / "run")
    assert list(left.glob("*.calls"))
    signed(left, ELSEWHERE, SILENT_S + 1)
    rescue_all(tmp_path / "run")
    assert not left.exists()


@pytest.mark.parametrize("name", [".run.scratch", ".run@gpu-7.scratch"])
def test_its_folder_is_not_taken_even_by_force(name: str, left: Path, tmp_path: Path) -> None:
    """With the name that this launcher has too, and with another."""
    scratch = left.rename(tmp_path / name)
    signed(scratch, ELSEWHERE)
    with pytest.raises(TraceanaError, match=r"goes on.*gpu-7 gave a sign"), claimed(tmp_path, "run", True):
        pass
    assert kept_plan(scratch).label == "run"
    assert list(scratch.glob("*.calls"))


def test_signs_are_given_by_the_launchers_guard(tmp_path: Path) -> None:
    """Which Ctrl-Z does not stop."""
    with claimed(tmp_path, "run", False) as claim:
        assert msgspec.json.decode((claim.scratch / LOCK).read_bytes(), type=Machine) == here()
        os.utime(claim.scratch / LOCK, (0, 0))
        with launch.guarded(claim):
            wait_until(lambda: (claim.scratch / LOCK).stat().st_mtime > 0)


def test_signs_are_given_while_a_rescue_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.01)
    (tmp_path / LOCK).touch()
    os.utime(tmp_path / LOCK, (0, 0))
    with lock.beating(tmp_path):
        wait_until(lambda: (tmp_path / LOCK).stat().st_mtime > 0)
    beat(tmp_path / "gone")


def test_the_guard_beats_on_what_others_look_at() -> None:
    from traceana_capture.launcher import processes

    assert (processes.LOCK, processes.BEAT_S) == (LOCK, lock.BEAT_S)
