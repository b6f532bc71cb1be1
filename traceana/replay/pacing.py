"""A host that follows its device: it launches when what is before is about to be over, and no call says that it waits.

Programs that poll do so, and written traces in which a launch stands a fixed time before its kernel. By chance few
launches fall so near an end: on 30 real ranks at most 26 % of those behind activities of 50 µs or more.
"""

import numpy as np

from traceana.analyze.work import LAUNCHES, RankWork
from traceana.replay.streams import Pairs
from traceana.trace.columns import Ints

_LONG_NS, _NEAR_NS = 50_000, 10_000
_FEWEST, _MOST_BY_CHANCE = 10, 0.6


def follows_device(work: RankWork, pairs: Pairs) -> bool:
    """Whether launches come when the activity before on the stream ends, within 10 µs; `pairs` are those."""
    long = work.end_ns[pairs.before] - work.start_ns[pairs.before] >= _LONG_NS
    told = long & (work.launch[pairs.after] >= 0) & ~work.graph[pairs.after]
    if told.sum() < _FEWEST:
        return False
    launched = work.host_start_ns[work.launch[pairs.after[told]]]
    near = np.abs(launched - work.end_ns[pairs.before[told]]) <= _NEAR_NS
    return bool(near.mean() > _MOST_BY_CHANCE)


def followed(work: RankWork) -> Ints:
    """For each host operation the activity that was over last when what it launched began, -1 where there is none."""
    order = np.argsort(work.end_ns, kind="stable")
    found = np.full(len(work.host_start_ns), -1, dtype=np.int64)
    launched = np.flatnonzero(work.launch >= 0)[::-1]
    place = np.searchsorted(work.end_ns[order], work.start_ns[launched], side="right") - 1
    # The first activity of a launch counts: rows are in order of start, and the last that is written stays.
    found[work.launch[launched]] = np.where(place >= 0, order[np.maximum(place, 0)], -1)
    return np.where(work.host_does == LAUNCHES, found, -1)
