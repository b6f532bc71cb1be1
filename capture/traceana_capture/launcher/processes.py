"""The processes of a run, and their end; also the guard, a script that ends them when the launcher was killed.

Standard library only: the guard starts before the command and without site-packages, to be there in a few milliseconds.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

EXPORT_GRACE_S = 60.0
TERM_GRACE_S = 5.0
TICK_S = 0.05
# As in traceana_capture.lock, which this script cannot import.
LOCK, BEAT_S = "lock", 5.0


@dataclass(frozen=True)
class _Process:
    parent: int
    session: int
    marked: bool


def of_run(scratch: Path, session: int | None, adopted: frozenset[int] = frozenset()) -> set[int]:
    """Living processes that inherited this run's variable, with all of their sessions and all below them.

    The command runs in `session`, which is ours alone; `adopted` are orphans known to be the run's. Environments alone
    do not tell, because setproctitle writes over them, and sessions do not, because torchrun gives each rank one.
    """
    table = _table(json.dumps(str(scratch)).encode())
    found = {pid for pid, p in table.items() if p.marked or p.session == session or pid in adopted}
    while True:
        # A session counts if its leader is the run's, so that no process can drag the user's own shell in.
        more = {pid for pid, p in table.items() if pid not in found and (p.parent in found or p.session in found)}
        if not more:
            return found - {os.getpid()}
        found |= more


def _table(marker: bytes) -> dict[int, _Process]:
    table = {}
    for folder in Path("/proc").glob("[0-9]*"):
        # Processes end while we look, and other users' have environments that we may not read.
        with contextlib.suppress(OSError):
            state, parent, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if state not in "ZX":
                marked = _is_marked(folder / "environ", marker)
                table[int(folder.name)] = _Process(parent=int(parent), session=int(session), marked=marked)
    return table


def _is_marked(environ: Path, marker: bytes) -> bool:
    with contextlib.suppress(OSError):
        entries = environ.read_bytes().split(b"\0")
        return any(entry.startswith(b"TRACEANA_CAPTURE=") and marker in entry for entry in entries)
    return False


def end(find: Callable[[], set[int]]) -> None:
    """SIGTERM to all that `find` gives, and SIGKILL to what is left after the grace, until nothing is."""
    told: set[int] = set()
    limit = time.monotonic() + TERM_GRACE_S
    while left := find():
        late = time.monotonic() > limit
        for pid in left if late else left - told:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        told |= left
        if time.monotonic() > limit + TERM_GRACE_S:
            # Not even SIGKILL ends a process that waits on a dead device.
            return
        time.sleep(TICK_S)


def guard(scratch: Path, rescue: list[str]) -> None:
    """Wait for the launcher's word or its end; only an end without a word ends the run, and `rescue` publishes it.

    What that could not publish stays.
    """
    word = _word(scratch)
    if word.endswith(b"."):
        return
    session = int(word) if word.strip() else None
    limit = time.monotonic() + EXPORT_GRACE_S
    # Ranks see the launcher's end too, and export; each has a file of this name meanwhile.
    while any(_exporting(scratch, pid) for pid in of_run(scratch, session)) and time.monotonic() < limit:
        _beat(scratch)
        time.sleep(TICK_S)
    end(lambda: of_run(scratch, session))
    if subprocess.call(rescue, stdin=subprocess.DEVNULL, close_fds=False) == 0:
        shutil.rmtree(scratch, ignore_errors=True)


def _word(scratch: Path) -> bytes:
    """All that the launcher says to its end. Signs of life are given here, where Ctrl-Z does not stop them."""
    word = b""
    while True:
        _beat(scratch)
        if select.select([0], [], [], BEAT_S)[0]:
            piece = os.read(0, 64)
            if not piece:
                return word
            word += piece


def _beat(scratch: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(scratch / LOCK)


def _exporting(scratch: Path, pid: int) -> bool:
    return (scratch / f"{pid}.window").exists()


if __name__ == "__main__":
    guard(Path(sys.argv[1]), sys.argv[2:])
