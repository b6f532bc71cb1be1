"""Rows that other packages add to the table of kernels, by the entry point `traceana.kernels`.

What an entry point names is a list of mappings such as `{"regex": r"\\bmycomm_", "library": "mycomm"}`. `library` None
stands for compute; "backend" says who issues the kernels, and "operation" what they do where their names do not.
"""

import functools
import re
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

import msgspec

from traceana.errors import TraceanaError
from traceana.kernels import OPERATIONS, KernelPattern

GROUP = "traceana.kernels"
_NAMES = {operation.name for operation in OPERATIONS}
_KEYS = {"regex", "library", "backend", "operation"}


class Kernels(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of all packages, in order of their entry points' names, and in words what is wrong with others."""

    patterns: tuple[KernelPattern, ...]
    faults: tuple[str, ...]


@functools.lru_cache
def kernels() -> Kernels:
    """What the packages that are installed here add; looked for once."""
    patterns: list[KernelPattern] = []
    faults = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            patterns += [_pattern(row, _named(point)) for row in point.load()]
        except Exception as error:  # whatever another package does
            faults.append(f"{_named(point)}: {type(error).__name__}: {error}")
    return Kernels(patterns=tuple(patterns), faults=tuple(faults))


def added_patterns() -> tuple[KernelPattern, ...]:
    """The rows of all packages. Raises TraceanaError where one is wrong: its kernels would be taken for compute."""
    found = kernels()
    if found.faults:
        raise TraceanaError(f"entry point {GROUP} of {found.faults[0]}; correct or uninstall that package")
    return found.patterns


def _named(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}, {point.value}" if point.dist is not None else point.value


def _pattern(row: Mapping[str, str | None], package: str) -> KernelPattern:
    unknown = row.keys() - _KEYS
    if unknown:
        raise ValueError(f"a row has no {', '.join(sorted(unknown))}, only {', '.join(sorted(_KEYS))}")
    regex, operation = row["regex"], row.get("operation")
    if not regex:
        raise ValueError("a row needs a regex")
    if operation is not None and operation not in _NAMES:
        raise ValueError(f"operation {operation!r} is none of {', '.join(sorted(_NAMES))}")
    return KernelPattern(
        library=row["library"],
        regex=re.compile(regex, re.IGNORECASE),
        backend=row.get("backend"),
        op=operation,
        package=package,
    )
