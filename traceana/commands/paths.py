"""Paths as commands take them: PATHS of traces, of a disk or a URL of an object store, and paths of a disk alone."""

import os
from pathlib import Path
from typing import Any

import click

from traceana.trace.remote import RemotePath, located, refuse_url


class TracePath(click.Path):
    """A path as it is written, completed by a shell as any other."""

    def convert(self, value: "str | os.PathLike[str]", param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises TraceanaError as `located` does."""
        path = located(os.fspath(value))
        return path if isinstance(path, RemotePath) else super().convert(value, param, ctx)


class DiskPath(click.Path):
    """A path of this machine's disks: a URL would be taken for a folder whose name ends in a colon."""

    def convert(self, value: "str | os.PathLike[str]", param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises TraceanaError for a URL."""
        refuse_url(os.fspath(value), "is not on a disk of this machine; copy with the store's own tools")
        return super().convert(value, param, ctx)


TRACES = TracePath(path_type=Path)
