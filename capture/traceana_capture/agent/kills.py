"""Lets a rank export before its own job kills it: sglang and vLLM send SIGKILL a few seconds after SIGTERM, or at once.

Only signals that Python sends are seen: multiprocessing, subprocess, psutil and torchrun all go through `os`. There is
no switch for it, because it is bounded: a signal waits only for a rank that records in this moment, once for each rank,
10 s for one and 30 s for all that this process kills, and what goes wrong here lets the signal through.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

GRACE_S = 10.0
GRACE_OF_ALL_S = 30.0
TICK_S = 0.02


def hold_back(workdir: str) -> None:
    """Make SIGKILL to a process whose window is open wait for its export, no longer than the grace."""
    kill, killpg, exports = os.kill, os.killpg, _Exports(Path(workdir))

    def held_kill(pid: int, number: int, /) -> None:
        if number == signal.SIGKILL:
            with contextlib.suppress(Exception):
                exports.wait([pid] if pid > 0 else exports.of_group(-pid))
        kill(pid, number)

    def held_killpg(group: int, number: int, /) -> None:
        if number == signal.SIGKILL:
            with contextlib.suppress(Exception):
                exports.wait(exports.of_group(group))
        killpg(group, number)

    os.kill, os.killpg = held_kill, held_killpg


class _Exports:
    """Asks ranks to export, and waits while they do."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self.left_s = GRACE_OF_ALL_S
        self.asked: set[int] = set()

    def of_group(self, group: int) -> list[int]:
        """The recording ranks of a process group; 0 is the group of this process."""
        recording = (int(mark.stem) for mark in self.workdir.glob("*.window"))
        return [pid for pid in recording if _group(pid) == (group or os.getpgrp())]

    def wait(self, pids: Iterable[int]) -> None:
        """Ask all at once, then wait; a rank takes its request away when it has done what it could."""
        fresh = {pid for pid in pids if pid != os.getpid() and self._is_there(pid, "window")} - self.asked
        self.asked |= fresh
        for pid in fresh:
            (self.workdir / f"{pid}.flush").touch()
        begin = time.monotonic()
        limit = begin + min(GRACE_S, self.left_s)
        while any(map(self._is_exporting, fresh)) and time.monotonic() < limit:
            time.sleep(TICK_S)
        self.left_s -= time.monotonic() - begin

    def _is_there(self, pid: int, kind: str) -> bool:
        return (self.workdir / f"{pid}.{kind}").exists()

    def _is_exporting(self, pid: int) -> bool:
        return self._is_there(pid, "window") and self._is_there(pid, "flush") and _alive(pid)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None
