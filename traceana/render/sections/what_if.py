"""What would shorten a step: a replay with one thing changed, for each run."""

import msgspec

from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.section import Section
from traceana.report import OverlapPrice, Report, RunReport, WhatIf


class RunHelps(msgspec.Struct, frozen=True, kw_only=True):
    """One run: its changes, or why none is known, and what overlap costs a step where that is certain."""

    run: RunMark
    changes: tuple[WhatIf, ...] | None
    unknown: str | None
    price: OverlapPrice | None


def what_helps(report: Report) -> tuple[RunHelps, ...]:
    """Every run of which something is to be said."""
    found = (_of_run(mark, run) for mark, run in marked_runs(report))
    return tuple(one for one in found if one.changes is not None or one.unknown or one.price)


def _of_run(mark: RunMark, run: RunReport) -> RunHelps:
    price = run.overlap_price
    return RunHelps(
        run=mark,
        changes=run.what_if,
        unknown=run.what_if_unknown,
        price=price if price and price.step_ns is not None else None,
    )


SECTION = Section(name="what_if", title="What would help", view=what_helps)
