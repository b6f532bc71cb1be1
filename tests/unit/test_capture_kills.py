import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from traceana_capture.agent import kills

# Which is never held back.
KILL = os.kill


@pytest.fixture(autouse=True)
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`os.kill` and `os.killpg` as in a captured program, and as they were afterwards."""
    monkeypatch.setattr(os, "kill", os.kill)
    monkeypatch.setattr(os, "killpg", os.killpg)
    kills.hold_back(str(tmp_path))


@pytest.fixture
def rank() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "99"], start_new_session=True)
    yield process
    if process.poll() is None:
        KILL(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("name", ["kill", "killpg"])
def test_a_kill_waits_for_the_export(tmp_path: Path, rank: subprocess.Popen[bytes], name: str) -> None:
    mark, request = tmp_path / f"{rank.pid}.window", tmp_path / f"{rank.pid}.flush"
    mark.touch()
    killer = threading.Thread(target=getattr(os, name), args=(rank.pid, signal.SIGKILL))
    killer.start()
    end = time.monotonic() + 10
    while not request.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert rank.poll() is None
    mark.unlink()
    killer.join(10)
    assert rank.wait(10) == -signal.SIGKILL


def test_it_does_not_wait_for_ever(
    tmp_path: Path, rank: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills, "GRACE_S", 0.2)
    (tmp_path / f"{rank.pid}.window").touch()
    os.kill(rank.pid, signal.SIGKILL)
    assert rank.wait(10) == -signal.SIGKILL


def test_a_rank_is_waited_for_once(
    tmp_path: Path, rank: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills, "GRACE_S", 0.2)
    (tmp_path / f"{rank.pid}.window").touch()
    exports = kills._Exports(tmp_path)
    exports.wait([rank.pid])
    (tmp_path / f"{rank.pid}.flush").unlink()
    exports.wait([rank.pid])
    assert not (tmp_path / f"{rank.pid}.flush").exists()


def test_all_ranks_together_have_one_grace(tmp_path: Path, rank: subprocess.Popen[bytes]) -> None:
    (tmp_path / f"{rank.pid}.window").touch()
    exports = kills._Exports(tmp_path)
    exports.left_s = 0.1
    exports.wait([rank.pid])
    assert exports.left_s <= 0


def test_a_group_by_its_negative_number(
    tmp_path: Path, rank: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills, "GRACE_S", 0.1)
    (tmp_path / f"{rank.pid}.window").touch()
    os.kill(-rank.pid, signal.SIGKILL)
    assert (tmp_path / f"{rank.pid}.flush").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_else_is_held(tmp_path: Path, rank: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Not SIGTERM, at which a rank exports by itself, and no process without a window."""
    if number == signal.SIGTERM:
        (tmp_path / f"{rank.pid}.window").touch()
    os.kill(rank.pid, number)
    assert rank.wait(10) == -number
    assert not (tmp_path / f"{rank.pid}.flush").exists()


def test_a_process_that_is_gone_is_reported_as_ever(tmp_path: Path, rank: subprocess.Popen[bytes]) -> None:
    rank.kill()
    rank.wait()
    (tmp_path / f"{rank.pid}.window").touch()
    with pytest.raises(ProcessLookupError):
        os.kill(rank.pid, signal.SIGKILL)
