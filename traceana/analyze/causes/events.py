"""Which activity an event made a stream wait for, in traces that tell it."""

import numpy as np

from traceana.trace.columns import Activities, Ints, StreamWaits

NOT_TOLD = -1


def released_ns(activities: Activities, rows: Ints, waits: StreamWaits) -> Ints:
    """For each of the activities `rows` the last end that its stream waited for right before it, or NOT_TOLD.

    Launches are in order of their correlations. An event stands for the last launch on its stream before it was
    recorded, a stream's wait holds what is launched on it next.
    """
    found = np.full(len(rows), NOT_TOLD, dtype=np.int64)
    stream, correlation = activities.stream[rows], activities.correlation[rows]
    order = np.argsort(correlation, kind="stable")
    for one, other in set(zip(waits.stream.tolist(), waits.on_stream.tolist(), strict=True)):
        mine, its = order[stream[order] == one], order[stream[order] == other]
        which = np.flatnonzero((waits.stream == one) & (waits.on_stream == other))
        held = np.searchsorted(correlation[mine], waits.correlation[which], side="right")
        awaited = np.searchsorted(correlation[its], waits.recorded[which], side="left") - 1
        both = (held < len(mine)) & (awaited >= 0)
        np.maximum.at(found, mine[held[both]], activities.end_ns[rows[its[awaited[both]]]])
    return found
