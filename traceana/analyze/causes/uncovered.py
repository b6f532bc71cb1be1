"""Why nothing covers exposed communication: what held the kernel that computed next."""

from dataclasses import dataclass

import numpy as np

from traceana.analyze.causes.idle import LAUNCH_LATENCY_NS
from traceana.analyze.causes.parts import Parts, parts_of
from traceana.analyze.intervals import Intervals, inside
from traceana.trace.columns import Bools, Ints

SAME_STREAM, DEPENDENT, NOTHING_LAUNCHED, BEHIND_CALL, UNEXPLAINED = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Activities of one device in order of start; `launched_ns` is negative where the trace lacks the launch."""

    start_ns: Ints
    end_ns: Ints
    stream: Ints
    launched_ns: Ints

    def __len__(self) -> int:
        return len(self.start_ns)


def uncovered_parts(exposed: Intervals, calls: Work, compute: Work) -> Parts:
    """The exposed time in the order of `UncoveredBy`'s fields; `calls` are the communication activities."""
    begin, finish = _cut(exposed, np.concatenate((calls.start_ns, calls.end_ns)))
    call = _running(calls, begin)
    following = np.searchsorted(compute.start_ns, begin, side="left")
    exists = following < len(compute)
    following = np.minimum(following, max(len(compute) - 1, 0))
    if not len(compute):
        return parts_of(begin, finish, np.full(len(begin), NOTHING_LAUNCHED), 5)
    launched = compute.launched_ns[following]
    turn = np.where(exists, np.clip(launched, begin, finish), finish)
    known = ~exists | (launched >= 0)
    before = np.where(known, NOTHING_LAUNCHED, UNEXPLAINED)
    turn = np.where(known, turn, finish)
    held = _held(calls, compute, call, following)
    return parts_of(np.concatenate((begin, turn)), np.concatenate((turn, finish)), np.concatenate((before, held)), 5)


def _held(calls: Work, compute: Work, call: Ints, following: Ints) -> Ints:
    """What a kernel that is launched already waits for while `call` runs."""
    same = calls.stream[call] == compute.stream[following]
    behind = _another_between(calls, compute, call, following)
    late_ns = compute.start_ns[following] - calls.end_ns[call]
    dependent = (late_ns >= 0) & (late_ns <= LAUNCH_LATENCY_NS)
    return np.select([behind, same, dependent], [BEHIND_CALL, SAME_STREAM, DEPENDENT], UNEXPLAINED)


def _another_between(calls: Work, compute: Work, call: Ints, following: Ints) -> Bools:
    """Whether a later call ran on the kernel's stream before the kernel did."""
    result = np.zeros(len(call), dtype=np.bool_)
    for stream in np.unique(calls.stream):
        on = np.flatnonzero(calls.stream == stream)
        mine = np.flatnonzero(compute.stream[following] == stream)
        last = np.searchsorted(calls.start_ns[on], compute.start_ns[following[mine]], side="left") - 1
        result[mine] = (last >= 0) & (on[np.maximum(last, 0)] > call[mine])
    return result


def _running(calls: Work, at_ns: Ints) -> Ints:
    """For each time the call that began last of those that run then."""
    place = np.searchsorted(calls.start_ns, at_ns, side="right") - 1
    while True:
        over = (place > 0) & (calls.end_ns[place] <= at_ns)
        if not over.any():
            return np.maximum(place, 0)
        place = np.where(over, place - 1, place)


def _cut(whole: Intervals, edges: Ints) -> tuple[Ints, Ints]:
    """The set in stretches that no edge divides."""
    cuts = np.unique(np.concatenate((whole.start, whole.end, edges)))
    begin, finish = cuts[:-1], cuts[1:]
    kept = inside(begin, whole)
    return begin[kept], finish[kept]
