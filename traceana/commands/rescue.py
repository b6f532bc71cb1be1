"""`traceana rescue RUN`: the traces of a run that was killed with all that could have published them."""

from pathlib import Path

import click
from traceana_capture.launcher.rescue import rescue_all

from traceana.commands.next_step import say_next
from traceana.commands.paths import DiskPath

_EXAMPLES = """
\b
Examples:
  traceana rescue traces/run
  traceana analyze traces/run
"""


@click.command("rescue", epilog=_EXAMPLES)
@click.argument("run", type=DiskPath(path_type=Path), metavar="RUN")
def command(run: Path) -> None:
    """Publish the traces of a run that was killed before it could.

    RUN is the run's folder, such as traces/run. Where traceana is killed alone, it has done so by itself. Slurm, docker
    and Kubernetes kill all there is at once, when the time that they give to end is over.
    """
    rescue_all(run)
    say_next(run)
