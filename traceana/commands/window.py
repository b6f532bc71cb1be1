"""`traceana window open|close|status RUN`: the windows of a program that runs under `traceana capture`."""

from pathlib import Path

import click
from traceana_capture.launcher.asking import Ask, Shown, of_run

from traceana import units
from traceana.commands.paths import DiskPath
from traceana.plain import say

_EXAMPLES = """
\b
Examples:
  traceana capture --label run -- sglang serve --model-path M ...
  traceana window open traces/run --steps 10
  traceana window status traces/run
  traceana window close traces/run
  traceana analyze traces/run
"""

_RUN = click.argument("run", type=DiskPath(path_type=Path), metavar="RUN")


@click.group("window", epilog=_EXAMPLES)
def command() -> None:
    """Open the next window on a program that runs under capture, close it, or show all.

    RUN is the run's folder, such as traces/run. The first window opens by itself; the next ones are in RUN/window2,
    RUN/window3, … Traces are there as soon as their window has closed, while the program goes on.
    """


@command.command("open", epilog=_EXAMPLES)
@click.option("--steps", type=click.IntRange(min=0), metavar="N", help="Close after so many recorded steps.")
@click.option("--seconds", type=click.FloatRange(min=0.01), metavar="S", help="Close after so many seconds at most.")
@click.option("--max-collectives", type=click.IntRange(min=1), metavar="N", help="Close after so many collectives.")
@_RUN
def open_window(run: Path, steps: int | None, seconds: float | None, max_collectives: int | None) -> None:
    """Open the next window, on all ranks at the same request, step or collective.

    What is not said is as it was for the first window.
    """
    _show(run, Ask(do="open", steps=steps, seconds=seconds, max_collectives=max_collectives))


@command.command("close", epilog=_EXAMPLES)
@_RUN
def close_window(run: Path) -> None:
    """Close the window that is open, or that waits to be, and wait until its traces are there."""
    _show(run, Ask(do="close"))


@command.command("status", epilog=_EXAMPLES)
@_RUN
def status(run: Path) -> None:
    """Show each window: what its ranks do, and where its traces are."""
    _show(run, Ask(do="status"))


def _show(run: Path, wanted: Ask) -> None:
    for window in of_run(run.absolute(), wanted).windows:
        say(_line(window))


def _line(window: Shown) -> str:
    states = [f"{units.number_ranges(ranks)} {state}" for state, ranks in window.ranks.items()]
    return f"window {window.number}: ranks {', '.join(states)}; {window.folder}"
