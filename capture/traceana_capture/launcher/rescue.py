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

from traceana.errors import TraceanaError
from traceana.plain import say
from traceana_capture import leftover
from traceana_capture.launcher.captured_run import settle
from traceana_capture.launcher.collect import remember
from traceana_capture.launcher.inject import PACKAGE
from traceana_capture.launcher.record import Plan, Record, kept_plan
from traceana_capture.launcher.run_folder import Claim, make_folder, run_name, window_name
from traceana_capture.launcher.scratch import end
from traceana_capture.launcher.workers import Roster
from traceana_capture.leftover import EXPORTED, PLAN
from traceana_capture.lock import LOCK, beating, holder, sign

EXIT_CODE = 128 + signal.SIGKILL


def rescue(scratch: Path, lock: int = -1) -> list[Path]:
    """Publish what the ranks exported, of which nobody was there to be told, and write run.json.

    `lock` is the descriptor that holds the folder, where it is ours. Returns the exports that could not be published;
    these stay where they are. Raises what `kept_plan` does, TraceanaError where the plan is of another run, OSError
    where the run's folder cannot be written.
    """
    plan = kept_plan(scratch)
    _check_names(plan, scratch)
    roster = _roster(scratch)
    # A container may have seen it in another place.
    folder = scratch.parent / run_name(plan.label, plan.repeat)
    make_folder(folder, plan.options.shared)
    claim = Claim(
        folder=folder, scratch=scratch, lock=lock, shared=plan.options.shared, job=plan.job, keeps_failed=True
    )
    record = Record(plan, claim)
    # A window's folder is made before it is ordered, and gone when newer ones are kept.
    later = roster.windows.keys() - {1}
    record.removed |= {number for number in later if not _is_wanted(number, claim)}
    settle(record, roster.windows, EXIT_CODE, (), "was ended, because traceana was killed")
    return sorted(scratch.glob(EXPORTED))


def _roster(scratch: Path) -> Roster:
    """Each rank's state in each window as far as messages tell, and as its export tells where they end too soon."""
    roster = Roster()
    with contextlib.suppress(OSError), (scratch / "messages").open() as lines:
        for line in lines:
            # The launcher may have been killed while it wrote the last one.
            with contextlib.suppress(ValueError):
                roster.note(line)
    for worker in [worker for window in roster.windows.values() for worker in window.values()]:
        remember(worker, scratch)
        # A rank writes the calls last, and they go with the trace when that is published.
        trace = scratch / f"{worker.pid}.{worker.window}.json"
        is_there = trace.with_suffix(".calls").exists()
        if is_there and isinstance(worker.outcome, str):
            worker.outcome = None
        if worker.trace is None and (worker.outcome is not None or is_there):
            worker.trace, worker.reason = str(trace), "traceana was killed"
    return roster


def _is_wanted(number: int, claim: Claim) -> bool:
    return (claim.folder / window_name(number)).is_dir() or any(claim.scratch.glob(f"[0-9]*.{number}.calls"))


def rescue_all(folder: Path) -> None:
    """Publish what is left of the run in `folder`.

    What could not be published stays where it was, for another try. Raises TraceanaError then, where nothing is left,
    and where the run goes on.
    """
    left = leftover.of_run(folder)
    if not left:
        raise TraceanaError(_why_not(folder))
    said = [said for scratch in left if (said := _rescued(scratch))]
    if said:
        raise TraceanaError("; ".join(said))


def _why_not(folder: Path) -> str:
    for scratch in leftover.beside(folder.absolute()):
        if (found := holder(scratch)) is not None:
            return f"{folder}: its run goes on, and publishes its traces when it ends{found.note()}"
    inside = leftover.notes([folder], ())
    return "; ".join(inside) or f"{folder}: no trace is left there to be published; name the folder of a run"


def _rescued(scratch: Path) -> str:
    """Publish what is left in one launcher's scratch folder, and say why not all could be; empty where it could."""
    try:
        with _readable(scratch), _held(scratch) as lock:
            _check_owner(scratch)
            failed = rescue(scratch, lock)
            if failed:
                return _stay(scratch, failed)
            end(scratch)
            shutil.rmtree(scratch, ignore_errors=True)
            return ""
    except TraceanaError as error:
        return str(error)


def _stay(scratch: Path, failed: Sequence[Path]) -> str:
    number = "1 export" if len(failed) == 1 else f"{len(failed)} exports"
    return (
        f"{scratch}: {number} could not be published, as said above, and stay there "
        f"({', '.join(path.stem for path in failed)}): make room in memory or on the disk, and try again: "
        f"{leftover.command(leftover.run_of(scratch))}"
    )


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
        again = leftover.command(leftover.run_of(scratch))
        raise TraceanaError(
            f"{scratch} cannot be published ({error}); all that is there stays, and {again} tries again"
        ) from error


@contextlib.contextmanager
def _held(scratch: Path) -> Iterator[int]:
    """No launcher takes it meanwhile, and no other rescue; the descriptor of the lock."""
    lock = os.open(scratch / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sign(lock)
        with beating(scratch):
            yield lock
    except BlockingIOError as error:
        raise TraceanaError(f"{scratch.parent}: somebody publishes it already") from error
    finally:
        os.close(lock)


def main(scratch: Path) -> int:
    """As the guard does, which holds the lock and removes the folder where this returns 0."""
    try:
        with _readable(scratch), beating(scratch):
            failed = rescue(scratch)
    except TraceanaError as error:
        said = str(error)
    else:
        said = _stay(scratch, failed) if failed else ""
    if said:
        say(f"traceana: error: {said}", err=True)
        return 1
    end(scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
