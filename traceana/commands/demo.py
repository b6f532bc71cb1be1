"""`traceana demo`: two sides of a small workload, captured here, with something planted that the report must find."""

import importlib.resources
import sys
from pathlib import Path

import click

from traceana.commands.paths import DiskPath
from traceana.needs import need

_RECORDED = ("torch-2r", "pynccl-2r")
_EXAMPLES = """
\b
Examples:
  traceana demo --open
  traceana demo --recorded
"""


@click.command("demo", epilog=_EXAMPLES)
@click.option(
    "-o",
    "--output",
    type=DiskPath(path_type=Path, file_okay=False),
    default=Path("demo-report"),
    show_default=True,
    help="Folder for the report and the traces.",
)
@click.option("--recorded", is_flag=True, help="Capture nothing: analyze two runs on an H200, torch and PyNccl.")
@click.option("--open", "open_report", is_flag=True, help="Open the report in the browser.")
@click.pass_context
def command(context: click.Context, output: Path, recorded: bool, open_report: bool) -> None:
    """Capture two small sides here, three runs each, and analyze them: on two GPUs NCCL, else gloo.

    What differs between the sides is said, so that the report can be held against it.
    """
    from traceana.commands import analyze

    if recorded:
        with importlib.resources.as_file(importlib.resources.files("traceana.recorded")) as traces:
            paths = tuple(traces / run for run in _RECORDED)
            context.invoke(analyze.command, paths=paths, output=output, open_report=open_report, no_cache=True)
        return
    _captured(output / "traces")
    context.invoke(analyze.command, paths=(output / "traces",), output=output, open_report=open_report)


def _captured(folder: Path) -> None:
    from traceana.demo import captured

    need("torch", "demo without --recorded")
    found = captured.demo()
    first, second = (side.label for side in found.sides)
    click.echo(f"capturing {first} and {second}, {captured.REPEATS} runs each, into {folder}; planted: {found.planted}")
    sys.stdout.flush()
    captured.capture(found, folder)
