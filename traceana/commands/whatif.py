"""`traceana whatif`: a run's step time with something changed."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from traceana import units
from traceana.commands.paths import DiskPath
from traceana.commands.progress import progress_bar
from traceana.errors import TraceanaError
from traceana.plain import say, say_json

if TYPE_CHECKING:
    from traceana.analyze.run import AnalyzedRun
    from traceana.replay.figures import Figures
    from traceana.replay.predict import Change
    from traceana.replay.recorded import Recorded
    from traceana.report import WhatIf

_EXAMPLES = """
\b
Examples:
  traceana whatif traces/torch                       what would help most
  traceana whatif traces/torch --no-straggler
  traceana whatif traces/torch --transfer all_to_all=0.8
  traceana whatif traces/torch --backend-from bench.json:pynccl
  traceana whatif traces/torch --overlap all_gather --no-launch-gaps
"""


@click.command(
    "whatif",
    epilog=_EXAMPLES,
    help="Replay the run below PATH on what waited for what, with all changes that are named, and tell its step time.",
)
@click.argument("path", type=DiskPath(path_type=Path))
@click.option("--no-straggler", is_flag=True, help="The rank waited for longest is as quick as its peers.")
@click.option(
    "--transfer",
    "factors",
    metavar="OP=FACTOR",
    multiple=True,
    help="Transfers of OP take FACTOR of their time; may be repeated.",
)
@click.option(
    "--backend-from",
    metavar="FILE[:BACKEND]",
    help="Transfers take what `traceana bench -o` or nccl-tests measured for BACKEND.",
)
@click.option("--overlap", metavar="OP", help="OP runs beside compute, until the next communication.")
@click.option("--no-launch-gaps", is_flag=True, help="Launches come at once, as in a CUDA graph.")
@click.option(
    "--workers", type=click.IntRange(min=0), default=0, help="Processes that read traces. [default: one a core]"
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    path: Path,
    no_straggler: bool,
    factors: tuple[str, ...],
    backend_from: str | None,
    overlap: str | None,
    no_launch_gaps: bool,
    workers: int,
    form: str,
) -> None:
    """Replay and say what a step would take."""
    import msgspec

    from traceana.replay.figures import read_figures
    from traceana.replay.helps import most_helpful
    from traceana.replay.predict import what_if

    shares = dict(_factor(text) for text in factors)
    figures = read_figures(backend_from) if backend_from else None
    run, ready = _read(path, workers)
    wanted = list(_changes(run, ready, no_straggler, figures, shares, overlap, no_launch_gaps))
    found = what_if(ready, wanted)
    helpful = () if wanted else most_helpful(ready, run)
    if form == "json":
        say_json(msgspec.json.encode({**msgspec.to_builtins(found), "helps": msgspec.to_builtins(helpful)}))
        return
    for line in _lines(found, helpful) if helpful or wanted else _nothing_helps(found):
        say(line)


def _read(path: Path, workers: int) -> "tuple[AnalyzedRun, Recorded]":
    """The run below `path`, ready to be replayed. Raises TraceanaError where it cannot be."""
    from traceana.pipeline import read_one
    from traceana.replay.play import NotKnownError
    from traceana.replay.recorded import recorded

    with progress_bar("reading traces") as progress:
        run, ranks = read_one(path, workers, progress)
    try:
        return run, recorded(run, {rank: result.work for rank, result in ranks.items()})
    except NotKnownError as error:
        raise TraceanaError(f"{path}: what would change this run is not known: {error}") from error


def _changes(
    run: "AnalyzedRun",
    ready: "Recorded",
    no_straggler: bool,
    figures: "Figures | None",
    shares: dict[str, float],
    overlap: str | None,
    no_launch_gaps: bool,
) -> "Iterator[Change]":
    from traceana.replay import wishes

    if no_straggler:
        yield wishes.no_straggler(run.report.stragglers)
    if figures:
        yield wishes.backend(ready, figures)
    if shares:
        yield wishes.transfers(ready, shares)
    if overlap:
        yield wishes.overlap(ready, overlap)
    if no_launch_gaps:
        yield wishes.no_launch_gaps()


def _factor(text: str) -> tuple[str, float]:
    op, _, factor = text.partition("=")
    try:
        value = float(factor)
    except ValueError:
        value = -1.0
    if not op or not 0 <= value < float("inf"):
        raise TraceanaError(f"--transfer {text}: write OP=FACTOR, for example all_to_all=0.8")
    return op, value


def _lines(found: "WhatIf", helpful: "tuple[WhatIf, ...]") -> list[str]:
    return [_measured(found), *(line for one in helpful or (found,) for line in _change(one))]


def _nothing_helps(found: "WhatIf") -> list[str]:
    return [_measured(found), "No change that is tried by itself would shorten the step; name one, see --help."]


def _measured(found: "WhatIf") -> str:
    return (
        f"step: {units.duration(found.measured_step_ns)} measured, {units.duration(found.replayed_step_ns)} in the "
        f"unchanged replay, over {units.plural(found.steps, 'steady step')}"
    )


def _change(found: "WhatIf") -> list[str]:
    sure, sign = "one step does not tell how sure", 1 if found.saved_ns >= 0 else -1
    saved = f"{'saves' if sign > 0 else 'costs'} {units.duration(sign * found.saved_ns)}"
    if found.low_ns is not None and found.saved_low_ns is not None and found.saved_high_ns is not None:
        sure = f"95 % interval {units.duration(found.low_ns)} to {units.duration(found.high_ns)}"
        least, most = sorted((sign * found.saved_low_ns, sign * found.saved_high_ns))
        saved += f" ({units.duration(least)} to {units.duration(most)})"
    line = f"{found.change}: {units.duration(found.predicted_step_ns)} ({sure}), {saved} a step"
    return [line, *(f"  mind: {note}" for note in found.notes)]
