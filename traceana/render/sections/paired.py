"""Calls that ran on two backends, a row for each kind and run."""

import msgspec

from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.section import Section
from traceana.report import PairedRow, Report


class MarkedPair(msgspec.Struct, frozen=True, kw_only=True):
    """One row and the run that it is of."""

    mark: RunMark
    data: PairedRow

    @property
    def baseline_p50_ns(self) -> int:
        """Of the baseline; an older report has it by its name."""
        return self.data.baseline_p50_ns or self.data.torch_p50_ns or 0

    @property
    def candidate_p50_ns(self) -> int:
        """Of the candidate."""
        return self.data.candidate_p50_ns or self.data.pynccl_p50_ns or 0


def paired_rows(report: Report) -> tuple[MarkedPair, ...]:
    """The rows of all runs, in the report's order."""
    return tuple(MarkedPair(mark=mark, data=row) for mark, run in marked_runs(report) for row in run.paired)


SECTION = Section(name="paired", title="The same call on two backends", view=paired_rows)
