"""What to do with a run that was captured or rescued: the command that reads it, where all of it is there."""

import shlex
from pathlib import Path

from traceana_capture import runfile
from traceana_capture.launcher.others import scratches

from traceana.plain import say


def say_next(there: Path, command: str = "analyze") -> None:
    """Say it on stderr."""
    say(f"traceana: next: traceana {command} {shlex.quote(str(there))}{_lacking(there)}", err=True)


def _lacking(run: Path) -> str:
    """What has to come first where of several nodes one alone is seen here: they may have disks of their own."""
    # A launcher's scratch folder goes when its part is there.
    if scratches(run.absolute()):
        return ""
    parts = [runfile.read(path) for path in runfile.files(run)]
    nodes = max((part.launchers or 0 for part in parts), default=0)
    if len(parts) != 1 or nodes < 2:
        return ""
    source, target = shlex.quote(f"NODE:{run.absolute()}/*"), shlex.quote(f"{run}/")
    return (
        f", once the parts of all {nodes} nodes are there, of which {parts[0].node} alone is; from each other NODE "
        f"with a disk of its own: scp -r {source} {target}"
    )
