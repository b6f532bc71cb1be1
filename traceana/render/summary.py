"""The report's first screen as tables of text: verdict, tables, fairness, and what is not known."""

from traceana.render.comparison_tables import of_runs
from traceana.render.headline import headline
from traceana.render.runs import baseline_first
from traceana.render.tables import TextTable
from traceana.render.unknowns import Gap, gaps
from traceana.report import Report


def summary(report: Report) -> list[TextTable]:
    """The comparisons, or where nothing is compared the run's answer; then the gaps."""
    report = baseline_first(report)
    return [*(of_runs(report.comparisons) or [_answer(report)]), _gaps(report)]


def _answer(report: Report) -> TextTable:
    answer = headline(report)
    figures = [f"{figure.question} {figure.value} {figure.caption}; {figure.detail}" for figure in answer.figures]
    return TextTable(title=answer.sentence, columns=(), rows=(), notes=(answer.second, *figures))


def _gaps(report: Report) -> TextTable:
    notes = tuple(f"{gap.name} ({_cases(gap)}). {gap.consequence}" for gap in gaps(report))
    return TextTable(title="What this cannot know", columns=(), rows=(), notes=notes or ("nothing is missing",))


def _cases(gap: Gap) -> str:
    return "; ".join(f"{', '.join(mark.label for mark in case.runs)}: {case.detail}" for case in gap.cases)
