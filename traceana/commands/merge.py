"""`traceana merge`: all ranks in one Chrome trace."""

from pathlib import Path

import click

from traceana import units
from traceana.commands.paths import TRACES, DiskPath
from traceana.commands.progress import progress_bar
from traceana.plain import say

_EXAMPLES = """
\b
Examples:
  traceana merge traces/torch -o all.json.gz
  traceana merge traces/torch traces/pynccl -o both.json.gz   together
  traceana merge traces/torch --python -o all.json.gz         with frames
"""


@click.command(
    "merge",
    epilog=_EXAMPLES,
    help="Put all ranks of the runs below PATHS into one Chrome trace, on one clock, for Perfetto.",
)
@click.argument("paths", nargs=-1, required=True, type=TRACES)
@click.option(
    "-o",
    "--output",
    type=DiskPath(path_type=Path, dir_okay=False),
    required=True,
    help="The file to write; gzip where it ends in .gz.",
)
@click.option("--python", is_flag=True, help="Keep Python's frames (much larger).")
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes that work. [default: one a core]")
def command(paths: tuple[Path, ...], output: Path, python: bool, workers: int) -> None:
    """Merge and say what was written."""
    from traceana.perfetto.merge import check_target, write_merge
    from traceana.perfetto.plan import plan

    check_target(output)
    with progress_bar("reading traces") as progress:
        planned = plan(paths, python=python, workers=workers, progress=progress)
    with progress_bar("writing") as progress:
        merged = write_merge(planned, output, python=python, workers=workers, progress=progress)
    for reason in planned.left_out:
        say(f"left out: {reason}", err=True)
    say(
        f"{merged.path}: {units.plural(merged.ranks, 'rank')}, {units.plural(merged.events['X'], 'slice')}, "
        f"{units.plural(merged.events['s'], 'arrow')}, {units.size(output.stat().st_size)}"
    )
