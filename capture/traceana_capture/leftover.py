"""Traces that ranks exported and nobody published, because the launcher and its guard were killed together.

Slurm, docker and Kubernetes do that to all that runs in a job or a container, when its time to end is over.
"""

import contextlib
import shlex
from collections.abc import Iterable, Iterator
from glob import escape
from pathlib import Path

from traceana_capture.lock import holder
from traceana_capture.reading import OpensItself

PLAN = "plan.json"
# A rank writes this file last of its export; it goes once the trace is published.
EXPORTED = "[0-9]*.calls"
# What came of publishing is kept until run.json is written.
LEFT = (EXPORTED, "outcome.*.json")


def beside(folder: Path) -> list[Path]:
    """Where launchers of the run in `folder`, an absolute path, have their scratch folders; these need not be there."""
    if not folder.name:
        return []
    alone = folder.with_name(f".{folder.name}.scratch")
    return [alone, *sorted(folder.parent.glob(f".{escape(folder.name)}@*.scratch"))]


def of_run(folder: Path) -> list[Path]:
    """Scratch folders with unpublished traces of the run in `folder`, whose launchers are not seen to live."""
    return [scratch for scratch in beside(folder.absolute()) if _is_left(scratch)]


def notes(paths: Iterable[Path], folders: Iterable[Path]) -> list[str]:
    """A line for each run with such traces: one in `folders`, one that `paths` name, or one in what they name."""
    runs = dict.fromkeys(_runs([*paths, *folders]))
    return [f"{run}: {advice(run)}" for run in runs if of_run(run)]


def advice(folder: Path) -> str:
    """What happened, and what to do about it."""
    return f"traceana was killed before it published all traces: {command(folder)} does so"


def command(folder: Path) -> str:
    """What publishes them."""
    return f"`traceana rescue {shlex.quote(str(folder))}`"


def run_of(scratch: Path) -> Path:
    """The folder of the run that this scratch folder is of."""
    return scratch.with_name(scratch.name.removeprefix(".").removesuffix(".scratch").partition("@")[0])


def _runs(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        if not isinstance(folder, OpensItself) and folder.is_dir():
            yield folder
            for scratch in sorted(folder.glob(".*.scratch")):
                yield run_of(scratch)


def _is_left(scratch: Path) -> bool:
    # Somebody else's may not be looked into.
    with contextlib.suppress(OSError):
        return has_traces(scratch) and holder(scratch) is None
    return False


def has_traces(scratch: Path) -> bool:
    """Whether traces were exported there that are not published, or of which no run.json tells; raises OSError."""
    return (scratch / PLAN).is_file() and any(any(scratch.glob(name)) for name in LEFT)
