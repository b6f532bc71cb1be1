"""`traceana analyze`: traces in, report out."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from traceana.analyze.guide import EDGES
from traceana.commands.edges import parse_edges
from traceana.commands.kernel_options import kernel_options, own_patterns
from traceana.commands.labels import Label
from traceana.commands.paths import TRACES, DiskPath
from traceana.needs import need
from traceana.plain import say, say_json
from traceana.report import Report
from traceana.report.bench import BenchReport

if TYPE_CHECKING:
    from traceana.pipeline import Analysis
    from traceana.saved.finished import Finished
    from traceana.saved.inputs import Inputs
    from traceana.settings import Settings

_EXAMPLES = """
\b
Examples:
  traceana analyze traces/                      every run below traces/
  traceana analyze torch/ pynccl/ --baseline torch
  traceana analyze rank0.json.gz rank1.json.gz -o out
  traceana analyze traces/ --bench bench.json   beside calls measured alone
  traceana analyze parts/                       what `measure` left there
  traceana analyze traces/ --comm-kernel mylib='my_allreduce_.*'
  traceana analyze traces/ --format md | gh pr comment --body-file -
"""


@click.command(
    "analyze",
    epilog=_EXAMPLES,
    help="Turn per-rank traces of torch.profiler below PATHS into report.html, report.json and collectives.parquet.",
)
@click.argument("paths", nargs=-1, required=True, type=TRACES)
@click.option(
    "-o",
    "--output",
    type=DiskPath(path_type=Path, file_okay=False),
    default=Path("traceana-report"),
    show_default=True,
    help="Folder for the three files.",
)
@click.option(
    "--baseline",
    type=Label("paths"),
    metavar="LABEL",
    help="The run that all others are compared with. [default: of as many ranks, the one captured first]",
)
@click.option(
    "--buckets",
    metavar="SIZES",
    default=",".join(f"{edge // 1024}KiB" if edge % (1 << 20) else f"{edge >> 20}MiB" for edge in EDGES),
    show_default=True,
    help="Edges of the message-size buckets.",
)
@kernel_options
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    help="Processes that read traces, or help to join many ranks. [default: one a core]",
)
@click.option("--executor", "engine", metavar="dask:ADDRESS", help="Read traces on the workers of a Dask scheduler.")
@click.option("--no-cache", is_flag=True, help="Neither keep nor take what was measured (.traceana beside the traces).")
@click.option(
    "--bench",
    "benches",
    metavar="FILE",
    multiple=True,
    type=DiskPath(path_type=Path, dir_okay=False),
    help="Lay calls beside what `traceana bench -o` or nccl-tests wrote; may be repeated.",
)
@click.option("--hta", is_flag=True, help="Add HolisticTraceAnalysis' idle causes, launches and queue (some seconds).")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "md", "json"]),
    default="text",
    show_default=True,
    help="What to print: the runs at a glance, the summary as markdown for a pull request, or report.json.",
)
@click.option(
    "--force", is_flag=True, help="Replace a report of other runs; an earlier one of these is replaced anyway."
)
@click.option("--open", "open_report", is_flag=True, help="Open the report in the browser.")
def command(
    paths: tuple[Path, ...],
    output: Path,
    baseline: str | None,
    buckets: str,
    comm_kernels: tuple[str, ...],
    compute_kernels: tuple[str, ...],
    workers: int,
    engine: str | None,
    no_cache: bool,
    benches: tuple[Path, ...],
    hta: bool,
    form: str,
    open_report: bool,
    force: bool,
) -> None:
    """Analyze and say what was found."""
    from traceana.saved.finished import kept
    from traceana.saved.inputs import inputs
    from traceana.saved.output import PAGE, check_link
    from traceana.saved.part_index import parts_at
    from traceana.settings import Settings

    if hta:
        need("hta", "--hta")
    check_link(output)
    settings = Settings(
        baseline=baseline,
        workers=workers,
        engine=engine,
        cache=not no_cache,
        edges=parse_edges(buckets),
        own_patterns=own_patterns(comm_kernels, compute_kernels),
        hta=hta,
        benches=_benches(benches),
    )
    parts = parts_at(paths)
    looked_at = None if parts else inputs(paths, cache=settings.cache)
    again = kept(looked_at, settings) if looked_at else None
    if again is not None:
        report = _put(again, output, force=force)
    else:
        report = _made(parts, settings, looked_at, output, force=force)
    _say(report, aside=form != "text")
    _show(report, form, output)
    say(f"report: {output / PAGE}", err=form != "text")
    if open_report:
        import webbrowser

        webbrowser.open((output / PAGE).resolve().as_uri())


def _benches(files: tuple[Path, ...]) -> tuple[BenchReport, ...]:
    if not files:
        return ()
    from traceana.saved.bench import read_bench

    return tuple(map(read_bench, files))


def _put(finished: "Finished", folder: Path, *, force: bool) -> Report:
    """Lay a report that was made before into its folder."""
    from traceana.saved.output import check_free, filling, replacing

    if not force:
        check_free(folder, finished.report)
    with filling(folder):
        for name, content in finished.files.items():
            with replacing(folder / name) as partial:
                partial.write_bytes(content)
    return finished.report


def _made(
    parts: tuple[Path, ...], settings: "Settings", looked_at: "Inputs | None", folder: Path, *, force: bool
) -> Report:
    """Analyze, write the report and keep it."""
    # Where a report is kept, none of this is needed, and its import takes longer than all the rest.
    from traceana.commands.progress import progress_bar
    from traceana.measuring import measure_inputs, read_parts
    from traceana.saved.finished import keep

    if looked_at is None:
        part = read_parts(parts, settings)
    else:
        with progress_bar("reading traces") as progress:
            part = measure_inputs(looked_at, settings, progress, _load_the_rest)
    from traceana.pipeline import analyze_measured

    analysis = analyze_measured(part, settings)
    page = _write(analysis, folder, force=force)
    if looked_at is not None:
        keep(looked_at, settings, analysis.report, page, folder)
    return analysis.report


def _show(report: Report, form: str, output: Path) -> None:
    from traceana.render.text.beside_bench import beside_bench_tables
    from traceana.render.text.overview import overview_table
    from traceana.render.text.tables import markdown, show

    if form == "text":
        show([overview_table(report), *beside_bench_tables(report)])
    elif form == "md":
        from traceana.render.text.summary import summary

        click.echo(markdown(summary(report)), nl=False)
    else:
        say_json((output / "report.json").read_bytes())


def _load_the_rest() -> None:
    """What joins ranks, jinja2 and pyarrow take a third of the time in which a large trace is read."""
    for name in ("pipeline", "saved.write", "render.html", "render.text.overview"):
        importlib.import_module(f"traceana.{name}")


def _write(analysis: "Analysis", folder: Path, *, force: bool) -> bytes:
    """Write report.html, report.json and collectives.parquet; the page."""
    from traceana.render.html import render
    from traceana.saved.output import PAGE, check_free, filling, replacing
    from traceana.saved.write import write

    if not force:
        check_free(folder, analysis.report)
    page = render(analysis.report).encode("utf-8", "replace")
    with filling(folder):
        with replacing(folder / PAGE) as partial:
            partial.write_bytes(page)
        write(analysis.report, analysis.runs, folder)
    return page


def _say(report: Report, *, aside: bool) -> None:
    """What was read and what was not; all of it on stderr where stdout is for something else."""
    from traceana.comparing.sentence import opening, share_in_words

    for run in report.runs:
        coverage = run.coverage
        say(
            f"{run.label}: {len(run.ranks)} of {run.world_size} ranks, {coverage.matched} of {coverage.collectives} "
            f"collective calls matched, backend {run.backend}",
            err=aside,
        )
        for reason in coverage.failed_files:
            say(f"  left out: {reason}", err=True)
        for file in coverage.truncated_files:
            say(f"  {file.file} ends early: {file.missing}", err=True)
        for note in coverage.notes:
            say(f"  mind: {note}", err=True)
        if coverage.skipped_events:
            say(f"  {coverage.skipped_events} damaged events were left out", err=True)
    for comparison in () if aside else report.comparisons:
        say(" ".join(filter(None, (opening(comparison), share_in_words(comparison)))))
    for note in report.passed_over:
        say(f"passed over: {note}", err=True)
