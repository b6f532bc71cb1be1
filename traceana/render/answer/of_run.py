"""The first screen of a run by itself."""

from traceana import units
from traceana.render.answer.figures import Figure, Headline, Window, exposed_share, window
from traceana.render.answer.overview import late_rank
from traceana.render.page.waiting import certain_waits
from traceana.report import Operation, RunReport


def run_answer(run: RunReport) -> Headline:
    """How much the run communicates, what costs most, and how much of it is waiting."""
    if not run.operations:
        return Headline(
            sentence=f"No communication was found in {run.label}.",
            second="The traces hold no communication kernel and no collective that traceana knows.",
            figures=(),
        )
    times = window([run])
    costliest = max(run.operations, key=lambda operation: operation.duration_ns.sum)
    hidden = units.percent(times.overlapped_comm_ns, times.comm_ns)
    return Headline(
        sentence=f"{run.label} communicates for {units.percent(times.comm_ns, times.span_ns)} of its window; "
        f"{hidden} of that is hidden under compute.",
        second=f"{units.sized(costliest.op, costliest.message_bytes)} takes the largest part. "
        f"{_late(run)}Add a second run to compare backends.",
        figures=(_exposed_figure(run, times), _costliest_figure(run, costliest), _wait_figure(run)),
    )


def _late(run: RunReport) -> str:
    late = late_rank(run)
    if late is None:
        return ""
    return f"Its peers wait most for rank {late.rank}: {units.duration(late.steady_wait_caused_ns)} together. "


def _exposed_figure(run: RunReport, times: Window) -> Figure:
    return Figure(
        question="How much is not hidden?",
        value=exposed_share(times),
        caption="of the window is exposed communication",
        detail=f"{units.duration(times.exposed_comm_ns / max(1, len(run.ranks)))} a rank",
        term="exposed",
    )


def _costliest_figure(run: RunReport, costliest: Operation) -> Figure:
    everything = sum(operation.duration_ns.sum for operation in run.operations)
    return Figure(
        question="What costs most?",
        value=units.duration((costliest.steady or costliest).duration_ns.p50),
        caption=f"median {units.sized(costliest.op, costliest.message_bytes)}",
        detail=f"{units.percent(costliest.duration_ns.sum, everything)} of the time in calls, "
        f"{units.plural(costliest.count, 'call')}",
        term="duration",
    )


def _wait_figure(run: RunReport) -> Figure:
    question = "How much of it is waiting?"
    if not run.coverage.matched:
        return Figure(
            question=question,
            value=f"0 of {units.count(run.coverage.collectives)}",
            caption="calls are matched across ranks",
            detail="so waiting for peers cannot be told from transfer",
            term="matched",
        )
    if not any(wait.steady_calls for wait in run.waits):
        return Figure(
            question=question,
            value="Cannot tell",
            caption="every matched call is warm-up",
            detail=f"{units.count(run.coverage.matched)} of {units.plural(run.coverage.collectives, 'call')} matched",
            term="wait",
        )
    certain = sum(wait.steady_wait_ns for wait in certain_waits(run))
    steady = [operation.steady or operation for operation in run.operations]
    waited = sum(one.wait_ns.sum for one in steady if one.wait_ns)
    transferred = sum(one.transfer_ns.sum for one in steady if one.transfer_ns)
    if waited and not certain:
        return Figure(
            question=question,
            value="Cannot tell",
            caption="waits are shorter than what is left between the clocks",
            detail=f"{units.duration(run.clock.residual_ns)} is left",
            term="residual",
        )
    return Figure(
        question=question,
        value=units.percent(certain, waited + transferred),
        caption="of the time in steady, matched calls is waiting for peers",
        detail=f"{units.count(run.coverage.matched)} of {units.plural(run.coverage.collectives, 'call')} matched",
        term="wait",
    )
