"""What exposed communication was spent on: waiting for a peer, the usual transfer, or more than that."""

import numpy as np

from traceana.analyze.calls import Calls
from traceana.analyze.causes.parts import Parts
from traceana.analyze.intervals import Intervals, subtract, union
from traceana.trace.columns import Ints


def usual_ns(calls: Calls) -> Ints:
    """For each call the usual time of its kind: the median transfer of steady matched calls, else of durations."""
    usual = np.zeros(len(calls), dtype=np.int64)
    for code in np.unique(calls.signature):
        rows = calls.signature == code
        for basis in (rows & calls.matched & ~calls.warm_up, rows & calls.matched, rows & ~calls.warm_up, rows):
            if basis.any():
                usual[rows] = int(np.median(calls.cost_ns[basis]))
                break
    return usual


def exposed_parts(exposed: Intervals, calls: Calls, usual: Ints, rows: Ints, start: Ints) -> Parts:
    """One rank's exposed time in the order of `ExposedIs`' fields; `rows` are its calls, `start` by its own clock."""
    end = start + calls.duration_ns[rows]
    arrived = start + calls.wait_ns[rows]
    normal = np.minimum(arrived + usual[rows], end)
    matched = calls.matched[rows]
    claims = (
        union(arrived, normal),
        union(normal[matched], end[matched]),
        union(start[matched], arrived[matched]),
    )
    left, found = exposed, []
    for claim in claims:
        rest = subtract(left, claim)
        found.append(subtract(left, rest))
        left = rest
    transfer, slow, peer = found
    return peer, transfer, slow, left
