"""Runs at a glance, and what to type next."""

from collections.abc import Sequence

from traceana import units
from traceana.render.answer.glance import glance
from traceana.render.answer.overview import late_rank
from traceana.render.page import open_at
from traceana.render.page.marks import baseline_first
from traceana.render.text.tables import TextTable
from traceana.report import Report, RunReport


def overview_table(report: Report) -> TextTable:
    """A column a run; the next command below."""
    report = baseline_first(report)
    found = glance(report)
    more = [f"{units.plural(found.left_out, 'more run')} in the report"] if found.left_out else []
    return TextTable(
        title="At a glance, a mean rank's times",
        columns=("", *found.labels),
        rows=tuple((name, *values) for name, values in found.rows),
        text_columns=1 + len(found.labels),
        notes=(*more, *(f"next: {command}" for command in _next(report.runs))),
    )


def _next(runs: Sequence[RunReport]) -> list[str]:
    """The longest wait that is known, and where there is one side alone, what would make a comparison."""
    waiting = [run for run in runs if late_rank(run)]
    commands = [open_at.of_worst_wait(run) for run in waiting[:1]]
    if len({run.side for run in runs}) == 1:
        commands.append("traceana capture --label NAME --backend torch|pynccl -- YOUR COMMAND")
    return [command for command in commands if command]
