"""`python -m traceana_capture.launcher.rescue SCRATCH`: publishes a run whose launcher was killed."""

import contextlib
import signal
import sys
from pathlib import Path

import msgspec

from traceana_capture.launcher.captured_run import settle
from traceana_capture.launcher.collect import remember
from traceana_capture.launcher.record import PLAN, Plan, Record
from traceana_capture.launcher.run_folder import Claim, window_name
from traceana_capture.launcher.workers import Roster

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
    claim = Claim(folder=Path(plan.folder), scratch=scratch, lock=-1, shared=plan.options.shared, job=plan.job)
    record = Record(plan, claim)
    # A window's folder is made before it is ordered, and gone when newer ones are kept.
    later = roster.windows.keys() - {1}
    record.removed |= {number for number in later if not (claim.folder / window_name(number)).is_dir()}
    settle(record, roster.windows, EXIT_CODE, (), "was ended, because traceana was killed")


if __name__ == "__main__":
    rescue(Path(sys.argv[1]))
