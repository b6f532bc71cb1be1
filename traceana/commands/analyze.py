"""`traceana analyze`: traces in, report out."""

import importlib
import re
import webbrowser
from pathlib import Path

import click

from traceana.analyze.guide import EDGES
from traceana.commands.kernel_options import kernel_options, own_patterns
from traceana.commands.labels import Label
from traceana.commands.paths import TRACES, DiskPath
from traceana.commands.progress import progress_bar
from traceana.errors import TraceanaError
from traceana.needs import need
from traceana.pipeline import Analysis, Settings, analyze
from traceana.plain import say, say_json
from traceana.report import Report

_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 10**3, "mb": 10**6, "gb": 10**9}

_EXAMPLES = """
\b
Examples:
  traceana analyze traces/                      every run below traces/
  traceana analyze torch/ pynccl/ --baseline torch
  traceana analyze rank0.json.gz rank1.json.gz -o out
  traceana analyze traces/ --bench bench.json   beside calls measured alone
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
    "--workers", type=click.IntRange(min=0), default=0, help="Processes that read traces. [default: one a core]"
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
    from traceana.saved.bench import read_bench
    from traceana.saved.output import check_link

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
        benches=tuple(map(read_bench, benches)),
    )
    with progress_bar("reading traces") as progress:
        analysis = analyze(paths, settings, progress, _load_renderers)
    report = _write(analysis, output, force=force)
    _say(analysis, aside=form != "text")
    _show(analysis.report, form, output)
    say(f"report: {report}", err=form != "text")
    if open_report:
        webbrowser.open(report.resolve().as_uri())


def _show(report: Report, form: str, output: Path) -> None:
    from traceana.render.text.beside_bench import beside_bench_tables
    from traceana.render.text.overview import overview_table
    from traceana.render.text.summary import summary
    from traceana.render.text.tables import markdown, show

    if form == "text":
        show([overview_table(report), *beside_bench_tables(report)])
    elif form == "md":
        click.echo(markdown(summary(report)), nl=False)
    else:
        say_json((output / "report.json").read_bytes())


def _load_renderers() -> None:
    """jinja2 and pyarrow take a tenth of the time in which a large trace is read."""
    importlib.import_module("traceana.saved.write")
    importlib.import_module("traceana.render.html")


def _write(analysis: Analysis, folder: Path, *, force: bool) -> Path:
    """Write report.html, report.json and collectives.parquet; return the page's path."""
    from traceana.render.html import render
    from traceana.saved.output import PAGE, check_free, replacing
    from traceana.saved.write import write

    if not force:
        check_free(folder, analysis.report)
    html = render(analysis.report)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / PAGE) as partial:
            partial.write_bytes(html.encode("utf-8", "replace"))
        write(analysis.report, analysis.runs, folder)
    except OSError as error:
        raise TraceanaError(f"{folder}: cannot be written ({error.strerror}); name another folder with -o") from error
    return folder / PAGE


def parse_edges(text: str) -> tuple[int, ...]:
    """ "1MiB,10MiB" to bytes, ascending. Raises TraceanaError for anything else."""
    edges = tuple(_parse_size(part.strip()) for part in text.split(","))
    if list(edges) != sorted(set(edges)) or edges[0] <= 0:
        raise TraceanaError(f"--buckets {text}: sizes must rise, as in 1MiB,10MiB")
    return edges


def _parse_size(text: str) -> int:
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = text[len(number) :].lower()
    if unit not in _UNITS or not re.fullmatch(r"\s*[0-9]{1,9}\s*", number):
        raise TraceanaError(f"--buckets: {text or 'an empty size'} is no size; write for example 1MiB,10MiB")
    return int(number) * _UNITS[unit]


def _say(analysis: Analysis, *, aside: bool) -> None:
    """What was read and what was not; all of it on stderr where stdout is for something else."""
    from traceana.comparing.sentence import opening, share_in_words

    for run in analysis.report.runs:
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
    for comparison in () if aside else analysis.report.comparisons:
        say(" ".join(filter(None, (opening(comparison), share_in_words(comparison)))))
    for note in analysis.report.passed_over:
        say(f"passed over: {note}", err=True)
