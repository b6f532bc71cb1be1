"""Publishes a run whose launcher was killed.

The guard does so at once, by `python -m traceana_capture.launcher.rescue SCRATCH`, and `traceana rescue` where the
guard was killed too.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from traceana.errors import TraceanaError
from traceana_capture import leftover
from traceana_capture.launcher.captured_run import settle
from traceana_capture.launcher.collect import remember
from traceana_capture.launcher.record import Plan, Record
from traceana_capture.launcher.run_folder import Claim, make_folder, run_name, window_name
from traceana_capture.launcher.workers import Roster
from traceana_capture.leftover import LOCK, PLAN

EXIT_CODE = 128 + signal.SIGKILL


def rescue(scratch: Path) -> None:
    """Publish what the ranks exported, of which nobody was there to be told, and write run.json."""
    plan = msgspec.json.decode((scratch / PLAN).read_bytes(), type=Plan)
    roster = Roster()
    with contextlib.suppress(OSError), (scratch / "messages").open() as lines:
        for line in lines:
            # The launcher may have been killed while it wrote the last one.
            with contextlib.suppress(ValueError):
                roster.note(line)
    for worker in [worker for window in roster.windows.values() for worker in window.values()]:
        # A rank writes this file last.
        trace = scratch / f"{worker.pid}.{worker.window}.json"
        if worker.trace is None and trace.with_suffix(".calls").exists():
            worker.trace, worker.reason = str(trace), "traceana was killed"
        remember(worker, scratch)
    # A container may have seen it in another place.
    folder = scratch.parent / run_name(plan.label, plan.repeat)
    make_folder(folder, plan.options.shared)
    claim = Claim(folder=folder, scratch=scratch, lock=-1, shared=plan.options.shared, job=plan.job)
    record = Record(plan, claim)
    # A window's folder is made before it is ordered, and gone when newer ones are kept.
    later = roster.windows.keys() - {1}
    record.removed |= {number for number in later if not (claim.folder / window_name(number)).is_dir()}
    settle(record, roster.windows, EXIT_CODE, (), "was ended, because traceana was killed")


def rescue_all(folder: Path) -> None:
    """Publish what is left of the run in `folder`; raises TraceanaError where there is nothing."""
    left = leftover.of_run(folder)
    if not left:
        raise TraceanaError(f"{folder}: no trace is left there to be published; name the folder of a run")
    for scratch in left:
        with _held(scratch):
            rescue(scratch)
            shutil.rmtree(scratch, ignore_errors=True)


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
