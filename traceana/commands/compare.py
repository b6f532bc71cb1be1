"""`traceana compare`: two or more sides in the terminal, with an exit code for a gate."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from traceana.commands.labels import Label
from traceana.commands.paths import TRACES
from traceana.commands.progress import progress_bar
from traceana.comparing import fail_over
from traceana.comparing.inputs import Inputs, perf_sides, sort_inputs
from traceana.comparing.perf_dumps import PerfComparison, compare_perf_dumps
from traceana.errors import TraceanaError
from traceana.plain import say, say_json
from traceana.report import Comparison

if TYPE_CHECKING:
    from traceana.render.text.tables import TextTable

JOURNAL = "journal.jsonl"
"""What a sweep keeps in its folder."""
Found = Sequence[Comparison] | Sequence[PerfComparison]

_EXAMPLES = """
\b
Examples:
  traceana compare traces/torch traces/pynccl     two runs
  traceana compare traces/                        torch.1 torch.2 pynccl.1 …
  traceana compare old/report.json traces/new     a saved report, a new run
  traceana compare base.json new.json             two perf dumps of sglang
  traceana compare main/ branch/ --fail-over 5% --metric step
  traceana compare main/ branch/ --format md --evidence
"""


@click.command(
    "compare",
    epilog=_EXAMPLES,
    help="Compare runs, report.json files or sglang's perf dumps; the first is the baseline. Exits with 1 where "
    "--fail-over finds a difference, with 2 on an error.",
)
@click.argument("paths", nargs=-1, required=True, type=TRACES)
@click.option(
    "--baseline",
    type=Label("paths"),
    metavar="LABEL",
    help="The side that all others are compared with. [default: of as many ranks, the first]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "md", "json")),
    default="text",
    show_default=True,
    help="What to print: for a terminal, for a pull request, or for a program.",
)
@click.option(
    "--fail-over",
    "limit",
    metavar="PERCENT",
    help="Exit with 1 where a metric is slower by more than this and the difference is certain.",
)
@click.option(
    "--metric",
    "metrics",
    metavar="NAME",
    multiple=True,
    help="What --fail-over looks at: request, step, exposed, an operation or a stage; may be repeated. "
    "[default: request and step]",
)
@click.option(
    "--evidence",
    is_flag=True,
    help="First what reviewers ask for: commits, versions, GPUs, settings, every run, memory, the verdict; also of a "
    "sweep's folder.",
)
@click.option(
    "--workers", type=click.IntRange(min=0), default=0, help="Processes that read traces. [default: one a core]"
)
def command(
    paths: tuple[Path, ...],
    baseline: str | None,
    form: str,
    limit: str | None,
    metrics: tuple[str, ...],
    evidence: bool,
    workers: int,
) -> None:
    """Compare, print, and leave with the verdict's exit code."""
    if evidence and form == "json":
        raise TraceanaError("--evidence is words; --format json has the same numbers without it")
    swept = [path for path in paths if (path / JOURNAL).is_file()]
    if evidence and swept and len(paths) == 1:
        _print_sweep(swept[0], form)
        return
    if swept:
        raise TraceanaError(
            f"{swept[0]} is a sweep's folder; give it alone with --evidence, or name runs of its traces/"
        )
    if metrics and limit is None:
        raise TraceanaError("--metric says what --fail-over looks at; give --fail-over too, for example --fail-over 5%")
    allowed = None if limit is None else fail_over.parse_percent(limit)
    inputs = sort_inputs(paths)
    if inputs.perf_dumps:
        found, block = _compare_dumps(inputs, baseline)
    else:
        found, block = _compare_runs(inputs, baseline, workers)
    failed = [] if allowed is None else fail_over.failures(found, allowed, metrics)
    _print(found, form, block if evidence else [])
    if allowed is not None:
        for text in fail_over.undecided(found, metrics):
            say(f"not decided: {text}", err=True)
    for text in failed:
        say(f"over {limit}: {text}", err=True)
    if failed:
        sys.exit(1)


def _compare_runs(inputs: Inputs, baseline: str | None, workers: int) -> tuple[Found, "list[TextTable]"]:
    from traceana.api import runs_of
    from traceana.pipeline import conclude
    from traceana.render.text import evidence as evidence_of

    with progress_bar("reading") as progress:
        runs = runs_of(inputs, workers, progress)
    comparisons = conclude(runs, baseline).report.comparisons
    if not comparisons:
        raise TraceanaError(f"{runs[0].report.side} is the only side here; name at least two to compare")
    return comparisons, evidence_of.of_runs(comparisons, [run.report for run in runs])


def _compare_dumps(inputs: Inputs, baseline: str | None) -> tuple[Found, "list[TextTable]"]:
    from traceana.render.text import evidence as evidence_of

    sides = perf_sides(inputs.perf_dumps)
    labels = [side.label for side in sides]
    if baseline is not None and baseline not in labels:
        raise TraceanaError(f"--baseline {baseline}: no such side; there are {', '.join(labels)}")
    if len(sides) < 2:
        raise TraceanaError(f"{labels[0]} is the only side here; name at least two to compare")
    first = sides[labels.index(baseline) if baseline else 0]
    comparisons = [compare_perf_dumps(first, side) for side in sides if side is not first]
    return comparisons, evidence_of.of_perf_dumps(comparisons, sides)


def _print_sweep(folder: Path, form: str) -> None:
    from traceana.render.text import tables
    from traceana.sweep.evidence import blocks
    from traceana.sweep.whole import read

    found = blocks(read(folder))
    if not found:
        raise TraceanaError(f"{folder}: neither its baseline nor another cell has a time; run the sweep to its end")
    if form == "md":
        click.echo(tables.markdown(found), nl=False)
    else:
        tables.show(found)


def _print(found: Found, form: str, block: "list[TextTable]") -> None:
    if form == "json":
        import msgspec

        say_json(msgspec.json.encode({"comparisons": found}))
        return
    from traceana.render.text import comparison_tables, tables

    runs = [one for one in found if isinstance(one, Comparison)]
    dumps = [one for one in found if isinstance(one, PerfComparison)]
    content = [*block, *comparison_tables.of_runs(runs), *comparison_tables.of_perf_dumps(dumps)]
    if form == "md":
        click.echo(tables.markdown(content), nl=False)
    else:
        tables.show(content)
