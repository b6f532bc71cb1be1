"""Labels of the runs that are there, for the shell to complete."""

from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem
from traceana_capture import runfile

_USUAL = Path("traces")


class Label(click.types.StringParamType):
    """A run's label; those below the parameter `below`, or the usual folder, are completed."""

    def __init__(self, below: str) -> None:
        self._below = below

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Labels that begin so, each once."""
        # An option that still lacks its value leaves the arguments before it unparsed.
        given = ctx.params.get(self._below) or ctx.args or _USUAL
        paths = [Path(path) for path in ((given,) if isinstance(given, str | Path) else given)]
        found = sorted({label for path in paths for label in labels(path)})
        return [CompletionItem(label) for label in found if label.startswith(incomplete)]


def labels(path: Path) -> Iterator[str]:
    """Labels of the run in a folder, and in the folders in it; what repeats share, not the single repeats."""
    folders = [path, *sorted(folder for folder in path.iterdir() if folder.is_dir())] if path.is_dir() else []
    for folder in folders:
        label = next((found for file in runfile.files(folder) if (found := runfile.read(file).label)), None)
        if label is not None:
            yield label
        elif folder != path and any(folder.glob("*rank*.json*")):
            yield folder.name
