"""The calls that the timeline strip names: which operation a stretch of communication is."""

import numpy as np
from msgspec.structs import replace

from traceana.analyze.calls import Calls
from traceana.report import Timeline, TimelineCall, TimelineRow

_MOST_CALLS = 4000
"""Of all ranks together: each is drawn as an element of the page."""
_THINNEST = 2000
"""A call shorter than this part of the strip cannot be pointed at."""


def with_calls(strip: Timeline, calls: Calls) -> Timeline:
    """The strip with the longest calls of each rank that lie in it."""
    if strip.start_ns is None:
        return strip
    most = max(1, _MOST_CALLS // max(1, len(strip.rows)))
    of_rank, start_ns = calls.rows_of_ranks, strip.start_ns
    rows = (_row(row, start_ns, strip.duration_ns, calls, of_rank.get(row.rank, slice(0)), most) for row in strip.rows)
    return replace(strip, rows=tuple(rows))


def _row(row: TimelineRow, origin: int, duration: int, calls: Calls, mine: slice, most: int) -> TimelineRow:
    start = np.maximum(calls.start_ns[mine] - origin, 0)
    end = np.minimum(calls.start_ns[mine] + calls.duration_ns[mine] - origin, duration)
    found = np.flatnonzero(((end - start) * _THINNEST >= duration) & (end > start))
    longest = found[np.argsort((start - end)[found], kind="stable")[:most]]
    in_order = longest[np.argsort(start[longest], kind="stable")]
    first = mine.start or 0
    return replace(
        row, calls=tuple(_call(calls, first + one, int(start[one]), int(end[one])) for one in in_order.tolist())
    )


def _call(calls: Calls, row: int, start: int, end: int) -> TimelineCall:
    signature, matched = calls.signatures[calls.signature[row]], bool(calls.matched[row])
    return TimelineCall(
        start_ns=start,
        end_ns=end,
        op=signature.op,
        message_bytes=signature.message_bytes,
        group_size=signature.group_size,
        wait_ns=int(calls.wait_ns[row]) if matched else None,
        transfer_ns=int(calls.transfer_ns[row]) if matched else None,
    )
