"""Why a cell takes its time: from its traced run, a mean rank's window in parts."""

from traceana import units
from traceana.render.answer.causes import EXPOSED_IS, explained
from traceana.render.answer.overview import costly
from traceana.report import RunReport
from traceana.sweep.report import Cause


def cause(run: RunReport) -> Cause:
    """Parts that add up to the window: compute, exposed communication, exposed memory, idle."""
    count = max(1, len(run.ranks))
    dearest = next(iter(costly([run])), None)
    return Cause(
        window_ns=sum(rank.span_ns for rank in run.ranks) // count,
        compute_ns=sum(rank.compute_ns for rank in run.ranks) // count,
        exposed_ns=sum(rank.exposed_comm_ns for rank in run.ranks) // count,
        memory_ns=sum(rank.exposed_memory_ns for rank in run.ranks) // count,
        idle_ns=sum(rank.idle_ns for rank in run.ranks) // count,
        exposed_is=tuple(
            (one.name, round(one.ns)) for one in explained((rank.exposed_is for rank in run.ranks), EXPOSED_IS)
        ),
        costly=units.sized(dearest.op, dearest.message_bytes) if dearest else None,
        backend=run.backend,
        mismatch=run.setup.backend_mismatch if run.setup else None,
    )
