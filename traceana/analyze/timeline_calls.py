"""The calls that the timeline strip names: which operation a stretch of communication is."""

from dataclasses import replace

import numpy as np

from traceana.analyze.calls import Calls
from traceana.report import Timeline, TimelineCall, TimelineRow
from traceana.trace.columns import Ints

_MOST_CALLS = 4000
"""Of all ranks together: each is drawn as an element of the page."""
_THINNEST = 2000
"""A call shorter than this part of the strip cannot be pointed at."""


def with_calls(strip: Timeline, calls: Calls) -> Timeline:
    """The strip with the longest calls of each rank that lie in it."""
    if strip.start_ns is None:
        return strip
    most = max(1, _MOST_CALLS // max(1, len(strip.rows)))
    return replace(strip, rows=tuple(_row(row, strip.start_ns, strip.duration_ns, calls, most) for row in strip.rows))


def _row(row: TimelineRow, origin: int, duration: int, calls: Calls, most: int) -> TimelineRow:
    start = np.maximum(calls.start_ns - origin, 0)
    end = np.minimum(calls.start_ns + calls.duration_ns - origin, duration)
    wide = (calls.rank == row.rank) & ((end - start) * _THINNEST >= duration) & (end > start)
    found = np.flatnonzero(wide)
    longest = found[np.argsort((start - end)[found], kind="stable")[:most]]
    in_order = longest[np.argsort(start[longest], kind="stable")]
    return replace(row, calls=tuple(_call(calls, one, start, end) for one in in_order.tolist()))


def _call(calls: Calls, row: int, start: Ints, end: Ints) -> TimelineCall:
    signature, matched = calls.signatures[calls.signature[row]], bool(calls.matched[row])
    return TimelineCall(
        start_ns=int(start[row]),
        end_ns=int(end[row]),
        op=signature.op,
        message_bytes=signature.message_bytes,
        group_size=signature.group_size,
        wait_ns=int(calls.wait_ns[row]) if matched else None,
        transfer_ns=int(calls.transfer_ns[row]) if matched else None,
    )
