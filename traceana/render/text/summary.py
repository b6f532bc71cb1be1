"""The report's first screen as tables of text: verdict, tables, fairness, and what is not known."""

from traceana import units
from traceana.render.answer.of_report import answer
from traceana.render.page.marks import baseline_first
from traceana.render.sections.paired import MarkedPair, paired_rows
from traceana.render.sections.unknowns import Gap, gaps
from traceana.render.text.comparison_tables import of_runs
from traceana.render.text.tables import TextTable
from traceana.report import Report


def summary(report: Report) -> list[TextTable]:
    """The comparisons, or where nothing is compared the run's answer; calls on two backends; then the gaps."""
    report = baseline_first(report)
    return [*(of_runs(report.comparisons) or [_answer(report)]), *_pairs(report), _gaps(report)]


def _answer(report: Report) -> TextTable:
    said = answer(report)
    figures = [
        f"{figure.question}: {figure.value} {figure.caption}{f'; {figure.detail}' if figure.detail else ''}"
        for figure in said.figures
    ]
    return TextTable(
        title=said.sentence,
        columns=(),
        rows=(),
        notes=tuple(filter(None, (said.second, *figures))),
        commands=tuple(figure.command for figure in said.figures if figure.command),
    )


def _pairs(report: Report) -> list[TextTable]:
    rows = tuple(_pair(row) for row in paired_rows(report))
    columns = (
        "run",
        "operation",
        "baseline",
        "candidate",
        "candidate is",
        "size",
        "pairs",
        "baseline takes",
        "candidate takes",
        "speed-up",
        "95 % interval",
        "differ",
    )
    title = "The same call on two backends"
    return [TextTable(title=title, columns=columns, rows=rows, text_columns=5)] if rows else []


def _pair(row: MarkedPair) -> tuple[str, ...]:
    pair = row.data
    return (
        row.mark.label,
        pair.op,
        pair.baseline,
        pair.candidate,
        pair.verdict,
        units.size(pair.message_bytes),
        units.count(pair.pairs),
        units.duration(row.baseline_p50_ns),
        units.duration(row.candidate_p50_ns),
        units.ratio(pair.speedup),
        units.ratio_range(pair.ci_low, pair.ci_high),
        units.count(pair.disagreeing),
    )


def _gaps(report: Report) -> TextTable:
    notes = tuple(f"{gap.name} ({_cases(gap)}). {gap.consequence}" for gap in gaps(report))
    return TextTable(title="What this cannot know", columns=(), rows=(), notes=notes or ("nothing is missing",))


def _cases(gap: Gap) -> str:
    return "; ".join(f"{', '.join(mark.label for mark in case.runs)}: {case.detail}" for case in gap.cases)
