"""A launcher's hidden folder beside the run's: taken for one launcher at a time, and gone when its run has ended."""

import contextlib
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from traceana.errors import TraceanaError
from traceana_capture.launcher.others import ADVICE, LAUNCH
from traceana_capture.leftover import PLAN
from traceana_capture.lock import LOCK, elsewhere, sign

# Another launcher tries the lock for a moment, to see whether somebody lives here.
_TRIES, _TRY_S = 5, 0.05


def take(scratch: Path, folder: Path) -> int:
    """Make the scratch folder of the run in `folder` ours, and return the descriptor of its lock.

    The kernel drops the lock with its last holder, so a run that was killed holds nothing. Raises TraceanaError where
    another works there, or it is not this user's, and OSError.
    """
    for _ in range(_TRIES):
        # One who ends, or forgets an earlier run, removes it in this moment.
        with contextlib.suppress(FileNotFoundError):
            _make_private(scratch)
            lock = os.open(scratch / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            if _is_ours(lock, scratch / LOCK):
                _refuse_elsewhere(scratch, folder, lock)
                sign(lock)
                return lock
        time.sleep(_TRY_S)
    raise TraceanaError(f"{folder} belongs to a run that goes on; {ADVICE}")


def _make_private(scratch: Path) -> None:
    """The command imports from it, so nobody else may write there, nor have laid it out for us in a shared folder."""
    with contextlib.suppress(FileExistsError):
        scratch.mkdir(mode=0o700)
    facts = scratch.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        raise TraceanaError(f"{scratch} is not a folder of yours; remove it, or choose another folder with -o")
    scratch.chmod(0o700)


def _is_ours(lock: int, path: Path) -> bool:
    """Whether the lock could be had, and is that of the folder that is there now; else it is closed."""
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_ino == path.stat().st_ino:
            return True
    os.close(lock)
    return False


def _refuse_elsewhere(scratch: Path, folder: Path, lock: int) -> None:
    """Raises TraceanaError where one works there whose lock is not seen on this machine."""
    if (found := elsewhere(scratch)) is not None:
        os.close(lock)
        raise TraceanaError(f"{folder} belongs to a run that goes on{found.note()}; {ADVICE}")


def empty(scratch: Path) -> None:
    """Remove the entries but the lock, and what tells others of us."""
    for entry in scratch.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name not in (LOCK, LAUNCH):
            entry.unlink()


def forget(left: Sequence[Path]) -> None:
    """Remove what an earlier run left: a rescue would publish its ranks among this one's. Raises TraceanaError."""
    for scratch in left:
        try:
            lock = os.open(scratch / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            # Held by one that has taken it meanwhile, which empties it itself.
            if _is_ours(lock, scratch / LOCK):
                end(scratch)
                shutil.rmtree(scratch)
                os.close(lock)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise TraceanaError(
                f"{scratch}, of an earlier run, cannot be removed ({error.strerror}); give another --label"
            ) from error


@contextlib.contextmanager
def removed_unless(kept: bool, scratch: Path) -> Iterator[None]:
    """The scratch folder is gone where the run's cannot be had, if it is not to be kept."""
    try:
        yield
    except BaseException:
        if not kept:
            shutil.rmtree(scratch, ignore_errors=True)
        raise


def end(scratch: Path) -> None:
    """Have nothing there to be rescued any more: half of the folder would tell of a run that lost its traces."""
    with contextlib.suppress(OSError):
        (scratch / PLAN).unlink(missing_ok=True)


def remove(scratch: Path, owner: int) -> None:
    """A child that the block of `traceana.capture` forked leaves it too, while its parent records on."""
    if os.getpid() == owner:
        end(scratch)
        shutil.rmtree(scratch, ignore_errors=True)
