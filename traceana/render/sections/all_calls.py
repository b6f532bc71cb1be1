"""Every operation of every run in numbers, to sort and to filter."""

from dataclasses import dataclass

from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.section import Section
from traceana.report import Operation, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRow:
    """A row of the table."""

    run: RunMark
    data: Operation


def operation_rows(report: Report) -> tuple[OperationRow, ...]:
    """All operations of all runs, those that take most time first."""
    rows = [OperationRow(run=mark, data=operation) for mark, run in marked_runs(report) for operation in run.operations]
    return tuple(sorted(rows, key=lambda row: -row.data.duration_ns.sum))


SECTION = Section(name="all_calls", title="All calls", view=operation_rows)
