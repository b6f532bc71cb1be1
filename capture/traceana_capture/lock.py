"""Who works in a scratch folder: told by its lock and, where hosts do not see each other's locks, by signs of life."""

import contextlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from traceana_capture.reading import DECODE_ERRORS, read_regular

LOCK = "lock"
# How far signs are apart, and after how long without one nobody lives: a busy machine, or a shared folder, may be late.
BEAT_S, SILENT_S = 5.0, 60.0


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where a holder works, as it writes into its lock: the host's name, and a number of the kernel that runs there."""

    host: str
    kernel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One that works in a scratch folder; `silent_s` is None where its lock is seen, else the age of its last sign."""

    host: str
    silent_s: float | None

    def note(self) -> str:
        """What to know of one whose lock is not seen, behind what is said of it; empty for another."""
        if self.silent_s is None:
            return ""
        since, rest = max(0.0, self.silent_s), SILENT_S - self.silent_s
        return (
            f" ({self.host} gave a sign of life {since:.0f} s ago; if all was killed there, try again in {rest:.0f} s)"
        )


def here() -> Machine:
    """This machine; all containers on it have one kernel, and see each other's locks."""
    kernel = ""
    with contextlib.suppress(OSError):
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Machine(host=socket.gethostname(), kernel=kernel)


def sign(descriptor: int) -> None:
    """Write into the lock, which we hold, that we do; raises OSError."""
    said = msgspec.json.encode(here())
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, said, 0)


def beat(scratch: Path) -> None:
    """Give a sign of life."""
    with contextlib.suppress(OSError):
        os.utime(scratch / LOCK)


@contextlib.contextmanager
def beating(scratch: Path) -> Iterator[None]:
    """Give signs of life meanwhile."""
    over = threading.Event()

    def beats() -> None:
        while not over.wait(BEAT_S):
            beat(scratch)

    thread = threading.Thread(target=beats, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def holder(scratch: Path) -> Holder | None:
    """Who works there, None where nobody is seen to."""
    if _is_locked(scratch):
        return Holder(host=here().host, silent_s=None)
    return elsewhere(scratch)


def elsewhere(scratch: Path) -> Holder | None:
    """Who works there on another machine, whose lock may not be seen here."""
    try:
        path = scratch / LOCK
        there = msgspec.json.decode(read_regular(path), type=Machine)
        silent_s = _now(scratch) - path.stat().st_mtime
    except (OSError, *DECODE_ERRORS):
        return None
    own = here()
    is_own = there.kernel == own.kernel if own.kernel else there.host == own.host
    return None if is_own or silent_s >= SILENT_S else Holder(host=there.host, silent_s=silent_s)


def _now(scratch: Path) -> float:
    """The time of the file system, which is the same for all hosts; else this host's."""
    try:
        with tempfile.TemporaryFile(dir=scratch) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def _is_locked(scratch: Path) -> bool:
    try:
        import fcntl

        lock = os.open(scratch / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (ImportError, OSError):
        # Windows has neither locks nor launchers.
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(lock)
    return False
