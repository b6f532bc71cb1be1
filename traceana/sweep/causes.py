"""Why a cell takes its time: of its traced run a mean steady step in parts, or the window where no steps are known."""

from collections.abc import Iterable, Sequence
from statistics import mean

from traceana import units
from traceana.render.answer.causes import EXPOSED_IS, explained
from traceana.render.answer.overview import costly
from traceana.report import ExposedIs, RunReport, StepTime
from traceana.sweep.report import Cause


def cause(run: RunReport) -> Cause:
    """Of the steady steps, where there are any: a window holds the program's beginning too."""
    steady = [step for step in run.steps if step.steady]
    return _of_steps(run, steady) if steady else _of_window(run)


def _of_steps(run: RunReport, steps: Sequence[StepTime]) -> Cause:
    compute, exposed = mean(step.compute_ns for step in steps), mean(step.exposed_payload_ns for step in steps)
    idle = mean(step.idle_ns or 0 for step in steps)
    # The whole is of the slowest rank, the parts are means over ranks.
    whole = max(mean(step.duration_ns for step in steps), compute + exposed + idle)
    causes = (step.exposed_is for step in steps)
    return _cause(run, "step", round(whole), round(compute), round(exposed), round(idle), causes)


def _of_window(run: RunReport) -> Cause:
    count = max(1, len(run.ranks))
    sums = [(rank.span_ns, rank.compute_ns, rank.exposed_payload_ns, rank.idle_ns) for rank in run.ranks]
    whole, compute, exposed, idle = (
        (sum(column) // count for column in zip(*sums, strict=True)) if sums else (0, 0, 0, 0)
    )
    return _cause(run, "window", whole, compute, exposed, idle, (rank.exposed_is for rank in run.ranks))


def _cause(
    run: RunReport,
    of: str,
    whole_ns: int,
    compute_ns: int,
    exposed_ns: int,
    idle_ns: int,
    exposed_is: Iterable[ExposedIs | None],
) -> Cause:
    dearest = next(iter(costly([run])), None)
    return Cause(
        of=of,
        whole_ns=whole_ns,
        compute_ns=compute_ns,
        exposed_ns=exposed_ns,
        idle_ns=idle_ns,
        other_ns=max(0, whole_ns - compute_ns - exposed_ns - idle_ns),
        exposed_is=tuple((one.name, round(one.ns)) for one in explained(exposed_is, EXPOSED_IS)),
        costly=units.sized(dearest.op, dearest.message_bytes) if dearest else None,
        backend=run.backend,
        mismatch=run.setup.backend_mismatch if run.setup else None,
    )
