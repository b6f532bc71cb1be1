"""Sides at a glance, and what to type next."""

from traceana import units
from traceana.render.answer import capture_command
from traceana.render.answer.glance import glance
from traceana.render.answer.late import late_rank
from traceana.render.answer.of_comparison import runs_needed, runs_of, standing
from traceana.render.page import open_at
from traceana.render.page.marks import baseline_first
from traceana.render.text.tables import TextTable
from traceana.report import Report


def overview_table(report: Report) -> TextTable:
    """A column a side; the next commands below."""
    report = baseline_first(report)
    found = glance(report)
    more = [f"{units.plural(found.left_out, 'more side')} in the report"] if found.left_out else []
    commands = _next(report)
    return TextTable(
        title="At a glance, a mean rank's times",
        columns=("", *found.labels),
        rows=tuple((name, *values) for name, values in found.rows),
        text_columns=1 + len(found.labels),
        notes=(*more, *(["next:"] if commands else [])),
        commands=tuple(commands),
    )


def _next(report: Report) -> list[str]:
    """What opens the longest wait that is known, then what captures a comparison or settles the one that there is."""
    waiting = [run for run in report.runs if late_rank(run)]
    commands = [open_at.of_worst_wait(run) for run in waiting[:1]]
    if report.comparisons:
        best = max(report.comparisons, key=standing)
        baseline, candidate = (runs_of(report, side) for side in (best.baseline, best.candidate))
        needed = runs_needed(best)
        commands += [capture_command.of_repeats(baseline, candidate, needed)] if needed else []
    elif report.runs:
        commands.append(capture_command.of_a_comparison(report.runs[0]))
    return [command for command in commands if command]
