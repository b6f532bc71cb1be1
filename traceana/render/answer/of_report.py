"""The answer of a whole report."""

from traceana.render.answer.figures import Headline
from traceana.render.answer.of_comparison import comparison_answer, standing
from traceana.render.answer.of_run import run_answer
from traceana.report import Report


def answer(report: Report) -> Headline:
    """What the report says: of the best candidate where runs were compared, else of the first run."""
    comparisons = [comparison for comparison in report.comparisons if comparison.rows]
    if comparisons:
        return comparison_answer(report, max(comparisons, key=standing))
    if report.runs:
        return run_answer(report.runs[0])
    return Headline(sentence="No run could be read.", second="", figures=())
