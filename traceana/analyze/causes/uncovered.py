"""Why nothing covers exposed communication: what held the kernel that computed next."""

import msgspec
import numpy as np

from traceana.analyze.causes.idle import LAUNCH_LATENCY_NS
from traceana.analyze.causes.parts import Parts, parts_of
from traceana.analyze.intervals import Intervals, inside
from traceana.trace.columns import Bools, Ints

SAME_STREAM, DEPENDENT, NOTHING_LAUNCHED, BEHIND_CALL, UNEXPLAINED, WAITING = range(6)
_CAUSES = 6
_NEVER = np.iinfo(np.int64).max


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """Activities of one device in order of start; `launched_ns` is negative where the trace lacks the launch.

    `released_ns` is the end of what an event made them wait for, negative where the trace tells of none.
    """

    start_ns: Ints
    end_ns: Ints
    stream: Ints
    launched_ns: Ints
    released_ns: Ints

    def __len__(self) -> int:
        return len(self.start_ns)

    def rows(self, index: Ints) -> "Work":
        """Some of them, copied."""
        return Work(
            start_ns=self.start_ns[index],
            end_ns=self.end_ns[index],
            stream=self.stream[index],
            launched_ns=self.launched_ns[index],
            released_ns=self.released_ns[index],
        )


def uncovered_parts(exposed: Intervals, calls: Work, compute: Work, copies: Work) -> Parts:
    """The exposed time in the order of `UncoveredBy`'s fields; `calls` are the communication activities."""
    edges = np.concatenate((calls.start_ns, calls.end_ns, copies.start_ns, copies.end_ns))
    begin, finish = _cut(exposed, edges)
    if not len(compute):
        return parts_of(begin, finish, np.full(len(begin), NOTHING_LAUNCHED), _CAUSES)
    call = _running(calls, begin)
    following = np.searchsorted(compute.start_ns, begin, side="left")
    exists = following < len(compute)
    following = np.minimum(following, len(compute) - 1)
    launched, started = compute.launched_ns[following], compute.start_ns[following]
    # A kernel that begins under the call, and right after its launch, was held by nothing.
    prompt = (started < calls.end_ns[call]) & (started - launched <= LAUNCH_LATENCY_NS)
    turn = np.where(exists & ~prompt, np.clip(launched, begin, finish), finish)
    known = ~exists | (launched >= 0)
    before = np.where(known, NOTHING_LAUNCHED, UNEXPLAINED)
    turn = np.where(known, turn, finish)
    held = _held(calls, compute, copies, call, following, begin)
    return parts_of(
        np.concatenate((begin, turn)), np.concatenate((turn, finish)), np.concatenate((before, held)), _CAUSES
    )


def _held(calls: Work, compute: Work, copies: Work, call: Ints, following: Ints, at_ns: Ints) -> Ints:
    """What a kernel that is launched already waits for while `call` runs."""
    same = calls.stream[call] == compute.stream[following]
    awaited = _awaited(calls, call, _next_on_stream(compute, copies, following, at_ns), at_ns)
    later = np.maximum(awaited, 0)
    # The awaited call could not begin before this one was over.
    behind = (awaited >= 0) & (
        (calls.start_ns[later] >= calls.end_ns[call])
        | ((calls.stream[later] == calls.stream[call]) & (calls.start_ns[later] > calls.start_ns[call]))
    )
    return np.select(
        [_another_between(calls, compute, call, following), same, behind, awaited >= 0],
        [BEHIND_CALL, SAME_STREAM, BEHIND_CALL, DEPENDENT],
        WAITING,
    )


def _awaited(calls: Work, call: Ints, following: Work, at_ns: Ints) -> Ints:
    """The call whose end set the stream of `following` free: this one where it may be, else the last to end; or -1.

    That is what the trace tells of an event, or else what ended right before the stream went on.
    """
    by_end = np.argsort(calls.end_ns, kind="stable")
    last, named = (_last_ended(calls, by_end, times) for times in (following.start_ns, following.released_ns))
    other = np.where(_may_free(calls, last, following) & (calls.end_ns[last] > at_ns), last, -1)
    inferred = np.where(_may_free(calls, call, following), call, other)
    ends = following.released_ns
    told = np.where(calls.end_ns[call] == ends, call, np.where(calls.end_ns[named] == ends, named, -1))
    return np.asarray(np.where(ends > at_ns, told, inferred))


def _may_free(calls: Work, call: Ints, following: Work) -> Bools:
    """Whether the call ended right before; an event cannot stand for a call that was launched later."""
    late_ns = following.start_ns - calls.end_ns[call]
    before = (calls.launched_ns[call] <= following.launched_ns) | (following.launched_ns < 0)
    return np.asarray((late_ns >= 0) & (late_ns <= LAUNCH_LATENCY_NS) & before)


def _last_ended(calls: Work, by_end: Ints, at_ns: Ints) -> Ints:
    found: Ints = by_end[np.maximum(np.searchsorted(calls.end_ns[by_end], at_ns, side="right") - 1, 0)]
    return found


def _next_on_stream(compute: Work, copies: Work, following: Ints, at_ns: Ints) -> Work:
    """What each kernel's stream goes on with: its first copy or kernel from `at_ns` on."""
    found = compute.rows(following)
    for stream in np.unique(copies.stream):
        mine = np.flatnonzero(found.stream == stream)
        its = np.flatnonzero(copies.stream == stream)
        place = np.searchsorted(copies.start_ns[its], at_ns[mine], side="left")
        earlier = np.append(copies.start_ns[its], _NEVER)[place] < found.start_ns[mine]
        mine, its = mine[earlier], its[place[earlier]]
        found.start_ns[mine] = copies.start_ns[its]
        found.launched_ns[mine] = copies.launched_ns[its]
        found.released_ns[mine] = copies.released_ns[its]
    return found


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
