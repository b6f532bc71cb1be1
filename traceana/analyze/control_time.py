"""How long ranks communicated control traffic alone: in all, and in each step."""

from collections.abc import Mapping

import msgspec
import numpy as np
from msgspec.structs import replace

from traceana.analyze.calls import Calls
from traceana.analyze.collectives import Collectives
from traceana.analyze.control import is_small
from traceana.analyze.intervals import overlap, union
from traceana.analyze.overlap import Occupation
from traceana.analyze.steps import Executions
from traceana.report import StepTime
from traceana.trace.columns import Bools


class ControlTime(msgspec.Struct, frozen=True, kw_only=True):
    """ns of a rank in which only control traffic communicated, and what of it no compute covered."""

    comm_ns: int = 0
    exposed_ns: int = 0


def control_time(calls: Collectives, occupied: Occupation) -> ControlTime:
    """Of one rank's calls on the host, by what is left of its communication without those that are this small."""
    left = _without(calls, occupied)
    comm_ns = occupied.communication.length - left.communication.length
    overlapped = overlap(occupied.communication, occupied.compute) - overlap(left.communication, occupied.compute)
    return ControlTime(comm_ns=comm_ns, exposed_ns=comm_ns - overlapped)


def with_control(
    times: tuple[StepTime, ...],
    executed: Executions,
    collectives: Mapping[int, Collectives],
    occupied: Mapping[int, Occupation],
) -> tuple[StepTime, ...]:
    """The same with what of their exposed communication only control traffic was, of a run with payload."""
    count, sums = len(executed), np.zeros(len(executed), dtype=np.int64)
    for rank, start in executed.start_ns.items():
        if any(map(is_small, collectives[rank].signatures)):
            extent, mine = (start[:count], executed.end_ns[rank][:count]), occupied[rank]
            left = _without(collectives[rank], mine)
            sums += mine.exposed_within(*extent) - left.exposed_within(*extent)
    means = np.round(sums / max(1, len(executed.start_ns))).astype(np.int64)
    return tuple(
        replace(step, control_exposed_comm_ns=min(control_ns, step.exposed_comm_ns))
        for step, control_ns in zip(times, means.tolist(), strict=True)
    )


def payload(calls: Calls) -> Bools:
    """Which of a run's calls are no control traffic: all of them where there is nothing else."""
    small = _small(calls)
    return ~small | small.all()


def _small(calls: Collectives | Calls) -> Bools:
    return np.array([is_small(signature) for signature in calls.signatures], dtype=np.bool_)[calls.signature]


def _without(calls: Collectives, occupied: Occupation) -> Occupation:
    small = _small(calls)
    return replace(occupied, communication=union(calls.start_ns[~small], calls.end_ns[~small]))
