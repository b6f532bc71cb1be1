"""The folder beside traces in which an analysis keeps what it need not find twice."""

import os
import stat
from pathlib import Path

FOLDER = ".traceana"


def write(traces: Path, name: str, content: bytes, instead_of: str) -> None:
    """Write a file of that name for a folder of `traces`, and drop those that fit the pattern. Raises OSError.

    Does nothing where that folder is not to be written.
    """
    folder = traces / FOLDER
    # Root may write where the owner lets nobody write; the owner's word counts.
    if not traces.stat().st_mode & stat.S_IWUSR:
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    # A folder that leads elsewhere is not ours.
    if folder.is_symlink():
        return
    partial = folder / f"{os.getpid()}.partial"
    partial.write_bytes(content)
    for old in folder.glob(instead_of):
        old.unlink(missing_ok=True)
    partial.replace(folder / name)


def escaped(name: str) -> str:
    """The name as a pattern that fits it alone."""
    return "".join(f"[{one}]" if one in "*?[" else one for one in name)
