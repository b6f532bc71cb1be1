"""The other launchers of a run that several start together: seen by their scratch folders beside the run's own."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from traceana.errors import TraceanaError
from traceana.plain import say
from traceana_capture import runfile
from traceana_capture.launcher.job import Job
from traceana_capture.leftover import beside, of_run
from traceana_capture.lock import beat, holder

LAUNCH = "launch"
ADVICE = "give another --label; if this is another node of that run, give --nodes N on each of its N nodes"
# Nodes are started by hand too.
PATIENCE_S = 600.0
LOOK_S, SAY_AFTER_S = 0.2, 10.0
SETTLE_LOOK_S, SETTLE_S = 0.02, 5.0
_LAUNCH = msgspec.json.Decoder(Job)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A run's place in a series: the folder of the run `before` it, None for the first."""

    before: Path | None


def scratch_name(label: str, job: Job | None) -> str:
    """No label has an @, so that nobody takes one run's for another's."""
    return f".{label}.scratch" if job is None else f".{label}@{job.node}.scratch"


def write_launch(scratch: Path, job: Job) -> None:
    """Let the others know; raises OSError. The lock is held by now, so that they may try it."""
    (scratch / LAUNCH).write_bytes(msgspec.json.encode(job))


def refuse_strangers(folder: Path, own: Path, job: Job | None) -> None:
    """Raises TraceanaError where the folder belongs to a run that goes on, and this launcher does not to that run."""
    for scratch in beside(folder):
        if scratch == own:
            continue
        other = _settled(scratch)
        if job is not None and other is not None and _belong_together(job, other):
            continue
        if (found := holder(scratch)) is not None:
            where = f" on {other.node}" if other is not None else ""
            raise TraceanaError(f"{folder} belongs to a run that goes on{where}{found.note()}; {ADVICE}")


def _of_jobs(folder: Path) -> Iterator[Path]:
    return (path for path in beside(folder) if "@" in path.name)


def scratches(folder: Path) -> list[Path]:
    """Scratch folders of all launchers that may be at this run."""
    return [path for path in beside(folder) if path.is_dir()]


def of_job(folder: Path, own: Path, job: Job | None) -> list[Path]:
    """Scratch folders of the other launchers of this job that are at this run now."""
    if job is None:
        return []
    launches = {scratch: _launch(scratch) for scratch in sorted(_of_jobs(folder)) if scratch != own}
    return [scratch for scratch, other in launches.items() if other is not None and _belong_together(job, other)]


def left_by_others(folder: Path, own: Path, job: Job | None) -> list[Path]:
    """Scratch folders with unpublished traces of an earlier run, whose launchers are not of this job."""
    together = {own, *of_job(folder, own, job)}
    return [scratch for scratch in of_run(folder) if scratch not in together]


def _belong_together(job: Job, other: Job) -> bool:
    return other.launch == job.launch and (not job.seat or other.seat != job.seat)


def _launch(scratch: Path) -> Job | None:
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return _LAUNCH.decode((scratch / LAUNCH).read_bytes())
    return None


def _settled(scratch: Path) -> Job | None:
    """Whose it is; one who has just come, or is about to go, holds it for a moment without saying so."""
    other = _launch(scratch)
    end = time.monotonic() + SETTLE_S
    while other is None and "@" in scratch.name and holder(scratch) is not None and time.monotonic() < end:
        time.sleep(SETTLE_LOOK_S)
        other = _launch(scratch)
    return other


def wait_for_all(folder: Path, own: Path, job: Job, turn: Turn, asked: Sequence[int]) -> None:
    """Wait until all launchers of the job have come to this run of a series, and so are done with the run before.

    Returns early where a signal was `asked`. Raises TraceanaError where the others do not come in time, or where the
    run before failed on one of them, which ends the series there.
    """
    mine = (own / LAUNCH).stat().st_mtime
    end, silent_until = time.monotonic() + PATIENCE_S, time.monotonic() + SAY_AFTER_S
    while not asked:
        beat(own)
        come = _come(folder, job, mine)
        if len(come) == job.launchers:
            return
        failed = [part for part in _parts(turn.before) if part.launch == job.launch and part.exit_code]
        if failed:
            raise TraceanaError(
                f"the series ends, because {turn.before} ended with exit code {failed[0].exit_code} on {failed[0].node}"
            )
        if time.monotonic() > end:
            raise TraceanaError(
                f"only {', '.join(sorted(come))} of {job.launchers} nodes came to {folder} within {PATIENCE_S:.0f} s; "
                "--repeat and --versus need a folder (-o) that all nodes share, and the same options on each"
            )
        if time.monotonic() > silent_until:
            say(f"traceana: {len(come)} of {job.launchers} nodes are at {folder}; waiting for the others", err=True)
            silent_until = end
        time.sleep(LOOK_S)


def _come(folder: Path, job: Job, since: float) -> set[str]:
    """Nodes whose launchers are at this run, or were: one that fails at once leaves its part."""
    come = {part.node for part in _parts(folder) if part.launch == job.launch}
    for scratch in _of_jobs(folder):
        with contextlib.suppress(OSError):
            # What a killed launcher left is older; times are the file system's own, the same for all.
            recent = (scratch / LAUNCH).stat().st_mtime > since - PATIENCE_S
            other = _launch(scratch)
            if recent and other is not None and other.launch == job.launch:
                come.add(other.node)
    return {node for node in come if node is not None}


def _parts(folder: Path | None) -> list[runfile.FoundRun]:
    return [runfile.read(path) for path in runfile.files(folder)] if folder is not None else []
