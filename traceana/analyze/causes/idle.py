"""Why a device was idle: each gap is told by the activity that ended it, and when that was launched."""

import msgspec
import numpy as np

from traceana.analyze.causes.parts import Parts, parts_of
from traceana.analyze.intervals import Intervals
from traceana.trace.columns import Ints

HOST_BEHIND, WAITING, OUTSIDE, UNEXPLAINED = range(4)
# A kernel on an idle GPU begins some µs after its launch: 74 of 74 collectives of a B200 trace within 20 µs.
LAUNCH_LATENCY_NS = 20_000
NOT_KNOWN = -1


class Gaps(msgspec.Struct, frozen=True, kw_only=True):
    """Idle times of a device: until `turn_ns` for the cause `before`, from then on what was launched waits.

    `ended_by` are places among the device's activities.
    """

    start_ns: Ints
    turn_ns: Ints
    end_ns: Ints
    before: Ints
    ended_by: Ints


def gaps(busy: Intervals, start_ns: Ints, launched_ns: Ints, launches_ns: Ints) -> Gaps:
    """The gaps between `busy`.

    `start_ns` and `launched_ns` are of the device's activities, the launch NOT_KNOWN where the trace lacks it;
    `launches_ns` are all launches of the recording.
    """
    begin, finish = busy.end[:-1], busy.start[1:]
    order = np.lexsort((launched_ns, start_ns))
    ended_by = order[np.minimum(np.searchsorted(start_ns[order], finish), max(len(order) - 1, 0))]
    launched = launched_ns[ended_by]
    known = launched >= 0
    prompt = known & (finish - launched <= LAUNCH_LATENCY_NS) & (launched > begin)
    # The host is behind until the launch, and what is left of the gap the activity waits.
    turn = np.where(prompt, finish, np.clip(launched, begin, finish))
    first, last = (int(launches_ns.min()), int(launches_ns.max())) if len(launches_ns) else (0, 0)
    outside = (finish <= first) | (begin >= last) if len(launches_ns) else np.zeros(len(begin), dtype=np.bool_)
    return Gaps(
        start_ns=begin,
        turn_ns=np.where(known, turn, finish),
        end_ns=finish,
        before=np.where(known, HOST_BEHIND, np.where(outside, OUTSIDE, UNEXPLAINED)).astype(np.int8),
        ended_by=ended_by,
    )


def idle_parts(found: Gaps) -> Parts:
    """The gaps in the order of `IdleBy`'s fields."""
    return parts_of(
        np.concatenate((found.start_ns, found.turn_ns)),
        np.concatenate((found.turn_ns, found.end_ns)),
        np.concatenate((found.before, np.full_like(found.before, WAITING))),
        4,
    )
