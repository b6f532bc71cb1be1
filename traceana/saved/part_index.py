"""What a part of a large run is told by, before it is read."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from traceana.trace.remote import RemotePath

INDEX = "part.json"


def parts_at(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The parts that `paths` name, or that all lie in folders which hold nothing else; none where one is no such path.

    Raises TraceanaError where an object store does not answer.
    """
    found = [(path,) if is_part(path) else _inside(path) for path in paths]
    return tuple(part for parts in found for part in parts) if all(found) else ()


def _inside(folder: Path) -> tuple[Path, ...]:
    try:
        found = dict(_holds(folder))
    except OSError:
        # Whoever looks for traces there says why it cannot be looked at.
        return ()
    return tuple(sorted(found)) if all(found.values()) else ()


def _holds(folder: Path) -> Iterator[tuple[Path, bool]]:
    """What a folder holds, and whether it is a part; of a store one question, however much lies there."""
    if isinstance(folder, RemotePath):
        yield from ((path, INDEX in names and path.parent == folder) for path, names in folder.walk_below())
    elif folder.is_dir():
        yield from ((path, is_part(path)) for path in folder.iterdir() if not path.name.startswith("."))


def is_part(path: Path) -> bool:
    """Whether `path` is a folder that `traceana measure` wrote."""
    return (path / INDEX).is_file()
