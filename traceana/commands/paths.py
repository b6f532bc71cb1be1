"""PATHS of traces as commands take them: of a disk, or a URL of an object store."""

import os
from pathlib import Path
from typing import Any

import click

from traceana.trace.remote import RemotePath, located


class TracePath(click.Path):
    """A path as it is written, completed by a shell as any other."""

    def convert(self, value: "str | os.PathLike[str]", param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises TraceanaError as `located` does."""
        path = located(os.fspath(value))
        return path if isinstance(path, RemotePath) else super().convert(value, param, ctx)


TRACES = TracePath(path_type=Path)
