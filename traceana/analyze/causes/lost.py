"""What a rank's file says by itself of the time that its device lost, before calls are matched across ranks."""

import msgspec
import numpy as np

from traceana.analyze.causes.events import released_ns
from traceana.analyze.causes.host import Stretches, host_behind
from traceana.analyze.causes.idle import NOT_KNOWN, gaps, idle_parts
from traceana.analyze.causes.parts import Parts
from traceana.analyze.causes.uncovered import Work, uncovered_parts
from traceana.analyze.intervals import Intervals, subtract
from traceana.analyze.launches import Launches
from traceana.analyze.overlap import Occupation
from traceana.kernels import Kind
from traceana.trace.columns import Bools, Ints, RankTrace


class LostTime(msgspec.Struct, frozen=True, kw_only=True):
    """Exposed communication, the same by what left it uncovered, and idle time by what left the device idle.

    Parts are in the order of the fields of `UncoveredBy` and `IdleBy`.
    """

    exposed: Intervals
    uncovered: Parts
    idle: Parts


def lost_time(
    trace: RankTrace, launches: Launches, rows: Ints, kind: Ints, occupied: Occupation
) -> tuple[LostTime, Stretches]:
    """Of the device whose activities are `rows`, with a `Kind` each; and where the host was while it was behind."""
    launched = launched_ns(trace, launches, rows)
    exposed = subtract(occupied.communication, occupied.compute)
    uncovered = _uncovered(trace, rows, kind, launched, exposed)
    idle = gaps(occupied.busy, trace.activities.start_ns[rows], launched, trace.launches.start_ns)
    lost = LostTime(exposed=exposed, uncovered=uncovered, idle=idle_parts(idle))
    return lost, host_behind(trace, idle, launches.row[rows[idle.ended_by]])


def _uncovered(trace: RankTrace, rows: Ints, kind: Ints, launched: Ints, exposed: Intervals) -> Parts:
    released = released_ns(trace.activities, rows, trace.stream_waits)
    of_kind = (
        _work(trace, rows, launched, released, kind == one) for one in (Kind.COMMUNICATION, Kind.COMPUTE, Kind.MEMORY)
    )
    return uncovered_parts(exposed, *of_kind)


def launched_ns(trace: RankTrace, launches: Launches, rows: Ints) -> Ints:
    """When each of the activities `rows` was launched, or NOT_KNOWN.

    A process counts its launches: a correlation below all that were recorded was launched before the recording.
    """
    row, numbers = launches.row[rows], trace.launches.key[trace.launches.key > 0]
    launched = np.full(len(rows), NOT_KNOWN, dtype=np.int64)
    if len(numbers):
        correlation = trace.activities.correlation[rows]
        launched[(correlation > 0) & (correlation < numbers.min())] = max(int(trace.launches.start_ns.min()) - 1, 0)
    launched[row >= 0] = trace.launches.start_ns[row[row >= 0]]
    return launched


def _work(trace: RankTrace, rows: Ints, launched: Ints, released: Ints, chosen: Bools) -> Work:
    start = trace.activities.start_ns[rows]
    # An activity of no length runs at no time.
    picked = np.flatnonzero(chosen & (trace.activities.end_ns[rows] > start))
    picked = picked[np.argsort(start[picked], kind="stable")]
    return Work(
        start_ns=start[picked],
        end_ns=trace.activities.end_ns[rows[picked]],
        stream=trace.activities.stream[rows[picked]],
        launched_ns=launched[picked],
        released_ns=released[picked],
    )
