"""Traces that ranks exported and nobody published, because the launcher and its guard were killed together.

Slurm, docker and Kubernetes do that to all that runs in a job or a container, when its time to end is over.
"""

import contextlib
import os
import shlex
from collections.abc import Iterable, Iterator
from glob import escape
from pathlib import Path

from traceana_capture.reading import OpensItself

LOCK, PLAN = "lock", "plan.json"
# A rank writes this file last of its export; it goes once the trace is published, and what came of that is kept until
# run.json is written.
LEFT = ("[0-9]*.calls", "outcome.*.json")


def beside(folder: Path) -> list[Path]:
    """Where launchers of the run in `folder` have their scratch folders; these need not be there."""
    alone = folder.with_name(f".{folder.name}.scratch")
    return [alone, *sorted(folder.parent.glob(f".{escape(folder.name)}@*.scratch"))]


def of_run(folder: Path) -> list[Path]:
    """Scratch folders with unpublished traces of the run in `folder`, whose launchers are not seen to live."""
    here = folder.absolute()
    return [scratch for scratch in beside(here) if _is_left(scratch)] if here.name else []


def notes(paths: Iterable[Path], folders: Iterable[Path]) -> list[str]:
    """A line for each run with such traces: one in `folders`, one that `paths` name, or one in what they name."""
    runs = dict.fromkeys(_runs([*paths, *folders]))
    return [f"{run}: {advice(run)}" for run in runs if of_run(run)]


def advice(folder: Path) -> str:
    """What happened, and what to do about it."""
    return f"traceana was killed before it published all traces: `traceana rescue {shlex.quote(str(folder))}` does so"


def _runs(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        if not isinstance(folder, OpensItself) and folder.is_dir():
            yield folder
            for scratch in sorted(folder.glob(".*.scratch")):
                yield folder / scratch.name.removeprefix(".").removesuffix(".scratch").partition("@")[0]


def _is_left(scratch: Path) -> bool:
    # Somebody else's may not be looked into.
    with contextlib.suppress(OSError):
        return (scratch / PLAN).is_file() and any(any(scratch.glob(name)) for name in LEFT) and not is_held(scratch)
    return False


def is_held(scratch: Path) -> bool:
    """Whether a launcher lives there; where hosts do not see each other's locks, nothing tells."""
    try:
        import fcntl

        lock = os.open(scratch / LOCK, os.O_RDWR)
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
