"""Digests of the code that made something: another source may make it otherwise, whatever its version is called."""

import functools
import hashlib
import importlib
import sys
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

import traceana

_MEASURES = ("trace", "analyze", "saved")
_SOURCES = (".py", ".c", ".j2", ".css", ".js")
_MAKE_REPORTS = ("traceana", "traceana.templates", "traceana_capture")
_MAKE_BYTES = ("jinja2", "markupsafe", "msgspec", "numpy", "pyarrow", "zlib-ng")
"""Packages whose next version may write the same values as other bytes."""


@functools.cache
def version() -> str:
    """Of what measures."""
    return digest_of(Path(str(traceana.__file__)).parent)


def digest_of(folder: Path) -> str:
    """Of the sources of a package that lies in `folder`: its own modules and the rooms that measure. Raises OSError."""
    rooms = (file for room in _MEASURES for file in (folder / room).rglob("*.*") if file.suffix in _SOURCES)
    return _digest([*folder.glob("*.py"), *rooms])


@functools.cache
def version_of_reports() -> str:
    """Of all that a report is made by: sources, templates, Python and the packages that write. Raises OSError."""
    homes = [Path(str(importlib.import_module(name).__file__)).parent for name in _MAKE_REPORTS]
    sources = _digest(file for home in homes for file in home.rglob("*") if file.suffix in _SOURCES)
    return "\n".join(
        [sources, sys.version, *(distribution(name).read_text("METADATA") or name for name in _MAKE_BYTES)]
    )


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    found = sorted(files, key=str)
    if not found:
        raise FileNotFoundError("the sources are not files")
    for file in found:
        digest.update(file.read_bytes())
    return digest.hexdigest()
