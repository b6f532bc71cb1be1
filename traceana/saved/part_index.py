"""What a part of a large run is told by, before it is read."""

from pathlib import Path

INDEX = "part.json"


def is_part(path: Path) -> bool:
    """Whether `path` is a folder that `traceana measure` wrote."""
    return (path / INDEX).is_file()
