"""The folder beside traces in which an analysis keeps what it need not find twice."""

import os
import stat
from pathlib import Path

FOLDER = ".traceana"
# Windows has no links that O_NOFOLLOW would mind.
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


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
    # What is there may have come with the traces: no name that could be foreseen, and no link, is written through.
    partial = folder / f"{os.urandom(8).hex()}.partial"
    with os.fdopen(os.open(partial, CREATE, 0o600), "wb") as file:
        file.write(content)
    for old in folder.glob(instead_of):
        old.unlink(missing_ok=True)
    partial.replace(folder / name)


def escaped(name: str) -> str:
    """The name as a pattern that fits it alone."""
    return "".join(f"[{one}]" if one in "*?[" else one for one in name)
