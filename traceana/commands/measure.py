"""`traceana measure`: the part of an analysis that reads traces, where the traces are."""

import re
from pathlib import Path

import click

from traceana.commands.kernel_options import kernel_options, own_patterns
from traceana.commands.paths import TRACES, TracePath
from traceana.commands.progress import progress_bar
from traceana.errors import TraceanaError
from traceana.plain import say

_EXAMPLES = """
\b
Examples:
  traceana measure traces/ -o parts/2 --share 2/8
  traceana measure /local/traces -o /shared/parts/$(hostname)
  traceana analyze parts/
"""


@click.command("measure", epilog=_EXAMPLES)
@click.argument("paths", nargs=-1, required=True, type=TRACES)
@click.option(
    "-o",
    "--output",
    required=True,
    type=TracePath(path_type=Path, file_okay=False),
    help="The part's folder, in an object store too.",
)
@click.option("--share", default="1/1", metavar="N/M", show_default=True, help="Only the N-th of M shares of files.")
@kernel_options
@click.option(
    "--workers", type=click.IntRange(min=0), default=0, help="Processes that read traces. [default: one a core]"
)
def command(
    paths: tuple[Path, ...],
    output: Path,
    share: str,
    comm_kernels: tuple[str, ...],
    compute_kernels: tuple[str, ...],
    workers: int,
) -> None:
    """Measure traces into a small folder, which `traceana analyze` joins with others.

    One node's ranks, or a share of a large run. The report of all parts is that of all traces.
    """
    from traceana.measuring import measure
    from traceana.saved.parts import write
    from traceana.settings import Settings

    settings = Settings(workers=workers, own_patterns=own_patterns(comm_kernels, compute_kernels))
    with progress_bar("reading traces") as progress:
        part = measure(paths, settings, progress, share=parse_share(share))
    try:
        write(output, part)
    except OSError as error:
        raise TraceanaError(f"{output}: cannot be written ({error.strerror}); name another folder with -o") from error
    failed = [str(result) for result in part.results.values() if isinstance(result, TraceanaError)]
    for reason in failed:
        say(f"left out: {reason}", err=True)
    say(f"{len(part.results) - len(failed)} of {len(part.results)} files measured: {output}")


def parse_share(text: str) -> tuple[int, int]:
    """ "2/8" to (2, 8). Raises TraceanaError for anything else."""
    found = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", text)
    if not found or int(found[1]) > int(found[2]):
        raise TraceanaError(f"--share {text}: write N/M with N from 1 to M, as in 2/8")
    return int(found[1]), int(found[2])
