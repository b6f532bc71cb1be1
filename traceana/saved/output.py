"""The folder of a report: whose it is, and how files come into it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from traceana_capture.reading import DECODE_ERRORS, read_regular

from traceana.errors import TraceanaError
from traceana.report import Report
from traceana.saved.beside import CREATE

REPORT, PAGE, CALLS = "report.json", "report.html", "collectives.parquet"


class _Run(msgspec.Struct):
    path: str
    named_files: list[str] = []


class _Saved(msgspec.Struct):
    runs: list[_Run]


def check_link(folder: Path) -> None:
    """Raises TraceanaError where the folder's name is a link: a report goes where it was said, not elsewhere."""
    if folder.is_symlink():
        raise TraceanaError(f"{folder}: leads to {folder.readlink()}; name that folder itself with -o")


def check_free(folder: Path, report: Report) -> None:
    """Raises TraceanaError where there is a report of runs that `report` does not hold, or another file."""
    if not any(os.path.lexists(folder / name) for name in (REPORT, PAGE, CALLS)):
        return
    earlier, ours = _saved_places(folder), _places([_Run(run.path, list(run.named_files)) for run in report.runs])
    if earlier is None or not earlier <= ours:
        raise TraceanaError(
            f"{folder}: holds a report of other runs; name another folder with -o, or give --force to replace it"
        )


@contextlib.contextmanager
def filling(folder: Path) -> Iterator[None]:
    """Make the folder, to write into it. Raises TraceanaError where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise TraceanaError(f"{folder}: cannot be written ({error.strerror}); name another folder with -o") from error


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A new file to write, which takes the name of `file` in the end, also where that is a link. Raises OSError."""
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    os.close(os.open(partial, CREATE, 0o666))
    try:
        yield partial
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _saved_places(folder: Path) -> set[Path] | None:
    """Where the runs of the report that is there lie, or None where it is none that can be read."""
    try:
        return _places(msgspec.json.decode(read_regular(folder / REPORT), type=_Saved).runs)
    except (OSError, *DECODE_ERRORS):
        return None


def _places(runs: list[_Run]) -> set[Path]:
    return {Path(name).resolve() for run in runs for name in run.named_files or [run.path]}
