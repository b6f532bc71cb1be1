"""What an activity waits for on its own device: the one before it on its stream, its launch, and other streams.

A trace does not say which event a stream waits for. Where the host made a stream wait before it launched something,
that waits for the last activity that each other stream had been given before and that was over when it began; and what
begins at once when an activity of another stream ends, later than all else would let it, waits for that.
"""

import msgspec
import numpy as np

from traceana.analyze.causes.idle import LAUNCH_LATENCY_NS
from traceana.analyze.work import RankWork
from traceana.replay.host import STREAM_WAITS
from traceana.trace.columns import Ints

# A stream goes from one activity to the next in about this time; more than the limit is something else.
_GAP_NS, _LONGEST_GAP_NS = 1_000, 5_000
_LATENCY_NS, _LONGEST_LATENCY_NS = 5_000, 50_000
_UNEXPLAINED_NS = 3_000


class Pairs(msgspec.Struct, frozen=True, kw_only=True):
    """Activities and what each waits for, an activity before it."""

    before: Ints
    after: Ints


class Usual(msgspec.Struct, frozen=True, kw_only=True):
    """What a rank's device usually takes between an activity and the next on its stream, and after a launch."""

    gap_ns: int
    latency_ns: int


def stream_pairs(work: RankWork) -> Pairs:
    """Each activity and the one before it on its stream."""
    order = np.lexsort((np.arange(len(work)), work.stream))
    same = work.stream[order[1:]] == work.stream[order[:-1]]
    return Pairs(before=order[:-1][same], after=order[1:][same])


def usual(work: RankWork, pairs: Pairs) -> Usual:
    """Medians: gaps of activities that were launched in time, latencies of those that found their stream idle."""
    launched = np.where(work.launch >= 0, np.append(work.host_start_ns, 0)[work.launch], work.start_ns)
    gap = work.start_ns[pairs.after] - work.end_ns[pairs.before]
    queued = launched[pairs.after] + LAUNCH_LATENCY_NS < work.end_ns[pairs.before]
    latency = work.start_ns[pairs.after] - launched[pairs.after]
    idle = (launched[pairs.after] > work.end_ns[pairs.before]) & (work.launch[pairs.after] >= 0)
    return Usual(
        gap_ns=_median(gap[queued & (gap >= 0)], _GAP_NS, _LONGEST_GAP_NS),
        latency_ns=_median(latency[idle & (latency >= 0)], _LATENCY_NS, _LONGEST_LATENCY_NS),
    )


def _median(values: Ints, otherwise: int, most: int) -> int:
    return min(int(np.median(values)), most) if len(values) else otherwise


def event_pairs(work: RankWork) -> Pairs:
    """What was launched behind a wait for another stream, with what it most likely waits for."""
    streams = np.unique(work.stream)
    waits = np.flatnonzero(work.host_does == STREAM_WAITS)
    if len(streams) < 2 or not len(waits):
        return Pairs(before=waits[:0], after=waits[:0])
    launched = np.flatnonzero((work.launch >= 0) & ~work.graph)
    launched = launched[np.argsort(work.launch[launched], kind="stable")]
    place = np.searchsorted(work.launch[launched], waits)
    after = launched[place[place < len(launched)]]
    wait = waits[place < len(launched)]
    found = [_before_on(work, stream, wait, after) for stream in streams.tolist()]
    before, follows = np.concatenate(found), np.tile(after, len(found))
    known = before >= 0
    pairs = np.unique(np.stack([before[known], follows[known]], axis=1), axis=0)
    return Pairs(before=pairs[:, 0], after=pairs[:, 1])


def _before_on(work: RankWork, stream: int, wait: Ints, after: Ints) -> Ints:
    """For each wait the last activity that the stream had by then and that was over when `after` began, or -1."""
    rows = np.flatnonzero((work.stream == stream) & (work.launch >= 0))
    if not len(rows):
        return np.full(len(wait), -1, dtype=np.int64)
    given = np.searchsorted(np.maximum.accumulate(work.launch[rows]), wait) - 1
    over = np.searchsorted(np.maximum.accumulate(work.end_ns[rows]), work.start_ns[after], side="right") - 1
    place = np.minimum(given, over)
    other = (place >= 0) & (work.stream[after] != stream)
    return np.where(other, rows[np.maximum(place, 0)], -1)


def prompt_pairs(work: RankWork, ready_ns: Ints) -> Pairs:
    """Activities that begin later than they could, `ready_ns`, but as soon as one of another stream is over.

    What a CUDA graph launches waits for what is before it in the graph, or for the graph before, whatever the gap.
    """
    late = np.flatnonzero(work.start_ns - ready_ns > _UNEXPLAINED_NS)
    order = np.argsort(work.end_ns, kind="stable")
    place = np.searchsorted(work.end_ns[order], work.start_ns[late], side="right") - 1
    late, before = late[place >= 0], order[place[place >= 0]]
    waited = work.start_ns[late] - work.end_ns[before]
    prompt = ((waited <= LAUNCH_LATENCY_NS) | work.graph[late]) & (work.end_ns[before] > ready_ns[late])
    prompt &= work.start_ns[before] < work.start_ns[late]
    return Pairs(before=before[prompt], after=late[prompt])
