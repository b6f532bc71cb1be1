"""Calls that ran on both backends, a row for each kind and run."""

import msgspec

from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.section import Section
from traceana.report import PairedRow, Report


class MarkedPair(msgspec.Struct, frozen=True, kw_only=True):
    """One row and the run that it is of."""

    mark: RunMark
    data: PairedRow


def paired_rows(report: Report) -> tuple[MarkedPair, ...]:
    """The rows of all runs, in the report's order."""
    return tuple(MarkedPair(mark=mark, data=row) for mark, run in marked_runs(report) for row in run.paired)


SECTION = Section(name="paired", title="The same call on both backends", view=paired_rows)
