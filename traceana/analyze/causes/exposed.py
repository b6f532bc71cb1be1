"""What exposed communication was spent on: waiting for a peer, the usual transfer, or more than that."""

import msgspec
import numpy as np

from traceana.analyze.calls import Calls
from traceana.analyze.causes.parts import Parts
from traceana.analyze.collectives import Collectives
from traceana.analyze.intervals import Intervals, divided, union
from traceana.trace.columns import Bools, Ints

_REPEATS = 3
"""Calls of a kind, below which the fastest says nothing of the others."""
_FASTEST = 0.1
"""Share of a kind's calls that are the fastest; a single one may be an odd one."""


class Usual(msgspec.Struct, frozen=True, kw_only=True):
    """For each signature the usual transfer of its calls, and whether a rank of its group has no trace in the run."""

    transfer_ns: Ints
    without_peers: Bools


class TimedCalls(msgspec.Struct, frozen=True, kw_only=True):
    """One rank's calls by its own clock, each with its wait and the usual transfer of its kind.

    `one_sided` are those whose wait is not known because a peer's trace is not, or not its clock.
    """

    start_ns: Ints
    end_ns: Ints
    wait_ns: Ints
    usual_ns: Ints
    matched: Bools
    one_sided: Bools
    exposed_ns: Ints
    signature: Ints


def usual(calls: Calls, world_size: int) -> Usual:
    """The median transfer of a kind's steady matched calls; where none is matched, the fastest of its durations."""
    found = np.zeros(len(calls.signatures), dtype=np.int64)
    for code, rows in calls.rows_of_kinds():
        found[code] = _of_kind(calls, rows)
    return Usual(transfer_ns=found, without_peers=_without_peers(calls, world_size))


def _of_kind(calls: Calls, rows: Ints) -> int:
    matched = rows[calls.matched[rows]]
    for basis in (matched[~calls.warm_up[matched]], matched):
        if len(basis):
            return int(np.median(calls.cost_of(basis)))
    durations = np.sort(calls.duration_ns[rows])
    return int(durations[int(_FASTEST * len(durations))]) if len(durations) >= _REPEATS else 0


def _without_peers(calls: Calls, world_size: int) -> Bools:
    """Signatures of groups of which a rank's trace is not in the run."""
    present = calls.rows_of_ranks.keys()
    every = range(world_size)
    absent = [not set(signature.group or every) <= present for signature in calls.signatures]
    return np.array(absent, dtype=np.bool_)


def timed_calls(own: Collectives, calls: Calls, usual: Usual, rows: slice) -> TimedCalls:
    """One rank's calls; `rows` are where they are in the table of all."""
    signature, matched = calls.signature[rows], calls.matched[rows]
    return TimedCalls(
        start_ns=own.start_ns,
        end_ns=own.end_ns,
        wait_ns=calls.wait_ns[rows],
        usual_ns=usual.transfer_ns[signature],
        matched=matched,
        one_sided=(usual.without_peers[signature] | (calls.collective[rows] >= 0)) & ~matched,
        exposed_ns=calls.exposed_ns[rows],
        signature=signature,
    )


def exposed_parts(exposed: Intervals, calls: TimedCalls) -> Parts:
    """One rank's exposed time in the order of `ExposedIs`' fields."""
    start, end, matched, one_sided = calls.start_ns, calls.end_ns, calls.matched, calls.one_sided
    arrived = start + calls.wait_ns
    normal = np.minimum(arrived + calls.usual_ns, end)
    claims = (
        union(arrived, normal),
        union(normal[matched], end[matched]),
        union(start[matched], arrived[matched]),
        union(start[one_sided], end[one_sided]),
    )
    left, found = exposed, []
    for claim in claims:
        claimed, left = divided(left, claim)
        found.append(claimed)
    transfer, slow, peer, either = found
    return peer, transfer, slow, left, either
