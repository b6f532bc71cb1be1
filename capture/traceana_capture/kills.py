"""Lets a rank export before its own job kills it: sglang and vLLM send SIGKILL a few seconds after SIGTERM, or at once.

Only signals that Python sends are seen: multiprocessing, subprocess, psutil and torchrun all go through `os`.
"""

import os
import signal
import time
from pathlib import Path

GRACE_S = 10.0
TICK_S = 0.02


def hold_back(workdir: str) -> None:
    """Make SIGKILL to a process whose window is open wait for its export, no longer than the grace."""
    kill, killpg = os.kill, os.killpg

    def held_kill(pid: int, number: int) -> None:
        if number == signal.SIGKILL:
            _export_first(workdir, [pid])
        kill(pid, number)

    def held_killpg(group: int, number: int) -> None:
        if number == signal.SIGKILL:
            recording = (int(mark.stem) for mark in Path(workdir).glob("*.window"))
            _export_first(workdir, [pid for pid in recording if _group(pid) == group])
        killpg(group, number)

    os.kill, os.killpg = held_kill, held_killpg


def _export_first(workdir: str, pids: list[int]) -> None:
    """Ask all at once, then wait; a rank takes its request away when it has done what it could."""
    asked = [pid for pid in pids if pid != os.getpid() and Path(workdir, f"{pid}.window").exists()]
    try:
        for pid in asked:
            Path(workdir, f"{pid}.flush").touch()
    except OSError:
        return
    limit = time.monotonic() + GRACE_S
    while any(_exporting(workdir, pid) for pid in asked) and time.monotonic() < limit:
        time.sleep(TICK_S)


def _exporting(workdir: str, pid: int) -> bool:
    return all(Path(workdir, f"{pid}.{kind}").exists() for kind in ("window", "flush")) and _alive(pid)


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
