"""bench.html: a bench as one page that loads nothing, in the style of the report."""

from pathlib import Path

import msgspec
from markupsafe import Markup

from traceana import __version__, units
from traceana.errors import TraceanaError
from traceana.render.bench_charts import operation_charts
from traceana.render.page.environment import asset, environment, policy
from traceana.render.page.marks import RUN_COLOURS, RunMark
from traceana.render.page.terms import TERMS, Definition
from traceana.render.text.bench import crossover
from traceana.report.bench import BenchReport, BenchVerdict

_TERMS = {
    **{key: TERMS[key] for key in ("size", "algbw", "busbw")},
    "percentile": Definition(
        name="p50, p95, p99",
        meaning="p50 is the median over blocks of calls that follow each other at once, a block's time by their "
        "number. p95 and p99 lie above it by what single calls, timed between events, lie above their own median.",
    ),
    "launch": Definition(
        name="launch", meaning="What issuing a call costs the host. A program that is behind with its launches pays it."
    ),
    "peak": Definition(
        name="peak", meaning="What a rank's link carries in one direction at most; busbw is given as a share of it."
    ),
    "graph": Definition(
        name="in a CUDA graph",
        meaning="One launch carries a whole block of calls, so the host costs them nothing. It is replayed on a stream "
        "of the bench's own.",
    ),
    "default_stream": Definition(
        name="on the default stream",
        meaning="The same graph, replayed where torch replays it unless a program chooses a stream. NCCL puts the "
        "record of an event behind each call of a graph, which on CUDA's default stream holds up what follows. A "
        "program avoids it with a stream of its own, or with NCCL_GRAPH_MIXING_SUPPORT=0 where no communicator serves "
        "two graphs, or a graph and calls outside of it, at the same time.",
    ),
    "cannot_tell": Definition(
        name="cannot tell",
        meaning="The intervals of the two fastest leave room for either; false alarms are held at 5 % over the page.",
    ),
}


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """The fastest backend at one size; `mark` is None where that is not certain, or there is one backend alone."""

    mark: RunMark | None
    text: str
    title: str


class FastestRow(msgspec.Struct, frozen=True, kw_only=True):
    """One operation, eager or in a graph: a cell a size, None where it was not measured against another."""

    op: str
    graph: bool
    cells: tuple[Cell | None, ...]


def write_page(report: BenchReport, path: Path) -> None:
    """Write the page. Raises TraceanaError where it cannot be written."""
    try:
        path.write_text(render_bench(report), encoding="utf-8")
    except OSError as error:
        raise TraceanaError(f"{path}: cannot be written ({error.strerror}); name another file with -o") from error


def render_bench(report: BenchReport) -> str:
    """The whole bench as one HTML document."""
    templates = environment()
    style, script = (asset(templates, name) for name in ("report.css", "report.js"))
    marks = backend_marks(report)
    return templates.get_template("bench.html.j2").render(
        report=report,
        version=__version__,
        style=Markup(style),
        script=Markup(script),
        policy=policy(style, script),
        sides=marks,
        terms=_TERMS,
        headline=headline(report),
        sizes=_sizes(report),
        fastest=fastest_rows(report, marks),
        changes=[crossover(one) for one in report.crossovers],
        charts=operation_charts(report, marks),
        under_compute=any(row.under_compute_p50_ns is not None for row in report.rows),
        default_stream=any(row.default_stream_p50_ns is not None for row in report.rows),
        graphs=any(row.graph for row in report.rows),
    )


def backend_marks(report: BenchReport) -> dict[str, RunMark]:
    """A colour and marker for each backend, in the order in which they were measured."""
    names = dict.fromkeys([*(name for name, _ in report.backends), *(row.backend for row in report.rows)])
    return {name: RunMark(label=name, colour=index % RUN_COLOURS) for index, name in enumerate(names)}


def headline(report: BenchReport) -> str:
    """The answer in a sentence."""
    certain = [one.best for one in report.verdicts if one.certain]
    places = units.plural(len(report.verdicts), "comparison")
    if not report.verdicts:
        return f"One backend was measured: {', '.join(dict.fromkeys(row.backend for row in report.rows))}"
    if not certain:
        return f"None of the backends is certainly the fastest in any of {places}"
    ranked = sorted(set(certain), key=lambda name: (-certain.count(name), name))
    if len(ranked) == 1 and len(certain) == len(report.verdicts):
        return f"{ranked[0]} is the fastest in each of {places}"
    parts = [f"{name} in {certain.count(name)}" for name in ranked]
    told = (
        f"; in {len(report.verdicts) - len(certain)} the fastest cannot be told"
        if len(certain) < len(report.verdicts)
        else ""
    )
    return f"Certainly the fastest, of {places}: {', '.join(parts)}{told}"


def _sizes(report: BenchReport) -> list[int]:
    return sorted({one.message_bytes for one in report.verdicts})


def fastest_rows(report: BenchReport, marks: dict[str, RunMark]) -> tuple[FastestRow, ...]:
    """Who is fastest, an operation a row and a size a column."""
    by_place = {(one.op, one.graph, one.message_bytes): one for one in report.verdicts}
    rows = dict.fromkeys((one.op, one.graph) for one in report.verdicts)
    return tuple(
        FastestRow(
            op=op,
            graph=graph,
            cells=tuple(_cell(by_place.get((op, graph, size)), marks) for size in _sizes(report)),
        )
        for op, graph in rows
    )


def _cell(one: BenchVerdict | None, marks: dict[str, RunMark]) -> Cell | None:
    if one is None:
        return None
    against = f"{units.ratio(one.speedup)} of {one.second} ({units.ratio_range(one.ci_low, one.ci_high)})"
    if not one.certain:
        title = f"cannot tell {', '.join(one.leaders)} apart: {one.best} is {against}"
        return Cell(mark=None, text="cannot tell", title=title)
    return Cell(mark=marks[one.best], text=units.ratio(one.speedup), title=f"{one.best} is fastest, {against}")
