"""`traceana demo`: a report from real traces, without a GPU."""

import os
from pathlib import Path

import click

from traceana.errors import TraceanaError

_TRACES = Path(__file__).parents[2] / "tests" / "traces" / "h200"
_RUNS = ("torch-2r", "pynccl-2r")


@click.command(
    "demo",
    epilog="\b\nExample:\n  traceana demo --open",
    help="Analyze two runs on an H200, torch.distributed and PyNccl, that the repository carries.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-report"),
    show_default=True,
    help="Folder for the report.",
)
@click.option("--open", "open_report", is_flag=True, help="Open the report in the browser.")
@click.pass_context
def command(context: click.Context, output: Path, open_report: bool) -> None:
    """Run `analyze` on the repository's traces."""
    from traceana.commands import analyze

    if not _TRACES.is_dir():
        raise TraceanaError(
            f"{_TRACES}: the demo's traces come with the repository; clone it and run `make demo` there"
        )
    paths = tuple(Path(os.path.relpath(_TRACES / run)) for run in _RUNS)
    context.invoke(analyze.command, paths=paths, output=output, open_report=open_report)
