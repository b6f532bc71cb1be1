"""Places on the timeline by name: a user's span, or the longest wait for a peer."""

import msgspec
import numpy as np

from traceana.errors import TraceanaError
from traceana.perfetto.plan import Plan, PlannedRank
from traceana.render.page.open_at import WORST_WAIT

_MARGIN = 0.05
_NAMED = 8


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the merged clock, in ns."""

    start_ns: int
    end_ns: int

    def widened(self) -> "Place":
        """With a twentieth more on either side, to see where it begins and ends."""
        margin = round((self.end_ns - self.start_ns) * _MARGIN)
        return Place(start_ns=self.start_ns - margin, end_ns=self.end_ns + margin)

    def within(self, start_ns: int, end_ns: int) -> "Place":
        """Cut to what a trace holds: Perfetto passes over a place that reaches beyond it."""
        return Place(start_ns=max(self.start_ns, start_ns), end_ns=min(self.end_ns, end_ns))


def find(plan: Plan, at: str) -> Place:
    """The place that `at` names: "worst-wait", "worst-wait all_reduce", or a span. Raises TraceanaError for others."""
    kind, _, op = at.partition(" ")
    return _worst_wait(plan, op) if kind == WORST_WAIT else _span(plan, at)


def _span(plan: Plan, name: str) -> Place:
    """The first execution of a span, on the devices of all ranks that have it."""
    found = [place for rank in plan.ranks for place in _executions(rank, name)[:1]]
    if not found:
        names = dict.fromkeys(name for rank in plan.ranks for name in rank.spans.names)
        some = ", ".join([*names][:_NAMED]) + (", …" if len(names) > _NAMED else "")
        raise TraceanaError(f"--at {name}: no such span; there are {some or 'none'}; or write {WORST_WAIT}")
    return Place(start_ns=min(place.start_ns for place in found), end_ns=max(place.end_ns for place in found)).widened()


def _executions(rank: PlannedRank, name: str) -> list[Place]:
    """Steps that no span marks are found by the name that the report gives them."""
    steps, spans, shift = rank.steps, rank.spans, rank.spans_shift_ns
    names, start, end = spans.names, spans.device_start_ns, spans.device_end_ns
    if name in steps.names and rank.rank in steps.start_ns:
        names, start, end = steps.names, steps.start_ns[rank.rank], steps.end_ns[rank.rank]
    rows = [row for row, other in enumerate(names) if other == name]
    return [Place(start_ns=int(start[row]) - shift, end_ns=int(end[row]) - shift) for row in rows]


def _worst_wait(plan: Plan, op: str) -> Place:
    """The call with the longest wait, from the arrival to the end: a steady one, where any waited."""
    place = _longest_wait(plan, op, steady=True) or _longest_wait(plan, op, steady=False)
    if place is None:
        raise TraceanaError(f"--at {WORST_WAIT} {op}".rstrip() + ": no call of the run is known to have waited")
    return place.widened()


def _longest_wait(plan: Plan, op: str, *, steady: bool) -> Place | None:
    worst: tuple[int, Place] | None = None
    for rank in plan.ranks:
        calls = rank.calls
        chosen = np.array([op in ("", signature.op) for signature in calls.signatures], dtype=np.bool_)
        counts = chosen[calls.signature] & ~(rank.warm_up & steady) if len(calls) else rank.warm_up
        waits = np.where(counts, calls.wait_ns, 0)
        if waits.any() and (worst is None or waits.max() > worst[0]):
            row = int(waits.argmax())
            worst = int(waits[row]), Place(start_ns=int(calls.start_ns[row]), end_ns=int(calls.end_ns[row]))
    return worst[1] if worst else None
