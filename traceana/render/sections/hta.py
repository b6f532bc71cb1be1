"""What HolisticTraceAnalysis says of a rank, where it was asked for."""

import msgspec

from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.section import Section
from traceana.report import HtaSection, Report


class MarkedAnalysis(msgspec.Struct, frozen=True, kw_only=True):
    """One rank's analysis and the run that it is of."""

    run: RunMark
    data: HtaSection


def analyses(report: Report) -> tuple[MarkedAnalysis, ...]:
    """Those of all runs."""
    return tuple(MarkedAnalysis(run=mark, data=run.hta) for mark, run in marked_runs(report) if run.hta)


SECTION = Section(name="hta", title="HolisticTraceAnalysis", view=analyses)
