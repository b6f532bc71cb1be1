"""Publishes a run whose launcher was killed.

The guard does so at once, by `python -m traceana_capture.launcher.rescue SCRATCH`, and `traceana rescue` where the
guard was killed too.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from traceana import units
from traceana.errors import TraceanaError
from traceana_capture import leftover
from traceana_capture.launcher.captured_run import settle
from traceana_capture.launcher.collect import forget, remember
from traceana_capture.launcher.inject import PACKAGE
from traceana_capture.launcher.publish import Published
from traceana_capture.launcher.record import Plan, Record
from traceana_capture.launcher.run_folder import Claim, make_folder, run_name, window_name
from traceana_capture.launcher.workers import Roster, Worker
from traceana_capture.leftover import LOCK, PLAN

EXIT_CODE = 128 + signal.SIGKILL


def rescue(scratch: Path) -> list[Worker]:
    """Publish what the ranks exported, of which nobody was there to be told, and write run.json.

    Returns those whose traces could not be published.
    """
    plan = msgspec.json.decode((scratch / PLAN).read_bytes(), type=Plan)
    _check_names(plan, scratch)
    roster = Roster()
    with contextlib.suppress(OSError), (scratch / "messages").open() as lines:
        for line in lines:
            # The launcher may have been killed while it wrote the last one.
            with contextlib.suppress(ValueError):
                roster.note(line)
    workers = [worker for window in roster.windows.values() for worker in window.values()]
    for worker in workers:
        remember(worker, scratch)
        # A rank writes the calls last, and they go with the trace when that is published.
        trace = scratch / f"{worker.pid}.{worker.window}.json"
        if worker.trace is None and (worker.outcome is not None or trace.with_suffix(".calls").exists()):
            worker.trace, worker.reason = str(trace), "traceana was killed"
    # A container may have seen it in another place.
    folder = scratch.parent / run_name(plan.label, plan.repeat)
    make_folder(folder, plan.options.shared)
    claim = Claim(folder=folder, scratch=scratch, lock=-1, shared=plan.options.shared, job=plan.job)
    record = Record(plan, claim)
    # A window's folder is made before it is ordered, and gone when newer ones are kept.
    later = roster.windows.keys() - {1}
    record.removed |= {number for number in later if not (claim.folder / window_name(number)).is_dir()}
    settle(record, roster.windows, EXIT_CODE, (), "was ended, because traceana was killed")
    return [worker for worker in workers if worker.trace is not None and not isinstance(worker.outcome, Published)]


def rescue_all(folder: Path) -> None:
    """Publish what is left of the run in `folder`; raises TraceanaError where there is nothing, or not all could be.

    What could not be published stays where it was, for another try.
    """
    left = leftover.of_run(folder)
    if not left:
        raise TraceanaError(f"{folder}: no trace is left there to be published; name the folder of a run")
    for scratch in left:
        with _held(scratch), _readable(scratch):
            _check_owner(scratch)
            exports = _set_aside(scratch)
            if failed := rescue(scratch):
                _put_back(failed, exports, scratch)
                raise TraceanaError(
                    f"{scratch}: rank {units.number_ranges({worker.rank for worker in failed})} could not be "
                    "published, as said above, and stays there: make room in memory or on the disk, and try again"
                )
            shutil.rmtree(scratch, ignore_errors=True)


def _set_aside(scratch: Path) -> Path:
    """Links to all that ranks exported: publishing leaves nothing of a trace where it fails."""
    aside = scratch / "aside"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for export in scratch.glob("[0-9]*.[0-9]*.*"):
        try:
            os.link(export, aside / export.name)
        except OSError:
            # Not every disk has links.
            shutil.copy2(export, aside)
    return aside


def _put_back(failed: Sequence[Worker], aside: Path, scratch: Path) -> None:
    for worker in failed:
        forget(worker, scratch)
        for export in aside.glob(f"{worker.pid}.{worker.window}.*"):
            export.replace(scratch / export.name)
    shutil.rmtree(aside, ignore_errors=True)


def _check_names(plan: Plan, scratch: Path) -> None:
    """A plan names what its own scratch folder is named after, and so nothing elsewhere."""
    run, node = run_name(plan.label, plan.repeat), plan.job.node if plan.job else ""
    fits = scratch.name == f".{run}.scratch" or scratch.name.startswith(f".{run}@")
    if not fits or any(Path(name).name != name for name in (run, node)):
        raise TraceanaError(f"{scratch}: its {PLAN} is of another run; remove the folder if it is not yours")


def _check_owner(scratch: Path) -> None:
    """What somebody else made may be made to overwrite what is this user's."""
    found = scratch.lstat()
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not own or shared or not all(path == scratch / PACKAGE or _is_plain(path) for path in scratch.rglob("*")):
        raise TraceanaError(
            f"{scratch}: not a folder that traceana made for you: it is another user's, others may write to it, or "
            "it has links or pipes; remove it, or rescue the run as its owner"
        )


def _is_plain(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISSOCK(mode)


@contextlib.contextmanager
def _readable(scratch: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, msgspec.MsgspecError) as error:
        raise TraceanaError(f"{scratch} cannot be published ({error}); all that is there stays") from error


@contextlib.contextmanager
def _held(scratch: Path) -> Iterator[None]:
    """No launcher takes it meanwhile, and no other rescue."""
    lock = os.open(scratch / LOCK, os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise TraceanaError(f"{scratch.parent}: somebody publishes it already") from error
    finally:
        os.close(lock)


if __name__ == "__main__":
    rescue(Path(sys.argv[1]))
