"""Calls that ranks make together: nobody leaves before the last one has come, and its transfer is over."""

import msgspec
import numpy as np

from traceana.replay.graph import Activities, Edges
from traceana.trace.columns import Bools, Ints


class Meetings(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes of all calls made together, first those at which all have come, then one an activity that leaves.

    `leave` is for each activity the node that is its end, itself where it meets nobody.
    """

    time_ns: Ints
    leave: Ints
    edges: Edges

    @property
    def nodes(self) -> int:
        """How many."""
        return len(self.time_ns)


def meetings(activities: Activities, start_ns: Ints, end_ns: Ints, first_node: int) -> Meetings:
    """The meetings of activities that begin and end so; their nodes are numbered from `first_node`.

    An activity that was over before the last one came, as a broadcast's root may be, waits for nobody.
    """
    members, meeting = _members(activities)
    came = np.zeros(int(meeting.max(initial=-1)) + 1, dtype=np.int64)
    np.maximum.at(came, meeting, start_ns[members])
    all_here = first_node + meeting
    leaving = first_node + len(came) + np.arange(len(members))
    waits = end_ns[members] > came[meeting]
    leave = np.arange(len(activities))
    leave[members] = leaving
    return Meetings(
        time_ns=np.concatenate((came, end_ns[members])),
        leave=leave,
        edges=Edges(
            source=np.concatenate((members, np.where(waits, all_here, members))),
            target=np.concatenate((all_here, leaving)),
            lag_ns=np.zeros(2 * len(members), dtype=np.int64),
            op=np.full(2 * len(members), -1, dtype=np.int64),
        ),
    )


def _members(activities: Activities) -> tuple[Ints, Ints]:
    """The activities that meet others, and for each the number of its meeting.

    Where a call is several activities on every rank, the first ones meet, then the second ones; where ranks have unlike
    numbers of them, it is not known which meet, and none does.
    """
    rows = np.flatnonzero(activities.collective >= 0)
    rows = rows[np.lexsort((rows, activities.rank[rows], activities.collective[rows]))]
    collective, rank = activities.collective[rows], activities.rank[rows]
    first = np.flatnonzero(_changes(collective) | _changes(rank))
    count = np.diff(np.append(first, len(rows)))
    ordinal = np.arange(len(rows)) - np.repeat(first, count)
    even = _even(collective[first], count)
    kept = np.repeat(even, count)
    _, meeting = np.unique(np.stack([collective[kept], ordinal[kept]], axis=1), axis=0, return_inverse=True)
    return rows[kept], meeting.ravel().astype(np.int64)


def _changes(values: Ints) -> Bools:
    return np.concatenate(([True], values[1:] != values[:-1])) if len(values) else np.zeros(0, dtype=np.bool_)


def _even(collective: Ints, count: Ints) -> Bools:
    """For each rank's part in a collective whether all ranks, two or more, have as many activities in it."""
    if not len(collective):
        return np.zeros(0, dtype=np.bool_)
    _, which, ranks = np.unique(collective, return_inverse=True, return_counts=True)
    least, most = np.full(len(ranks), np.iinfo(np.int64).max), np.zeros(len(ranks), dtype=np.int64)
    np.minimum.at(least, which, count)
    np.maximum.at(most, which, count)
    return np.asarray(((least == most) & (ranks > 1))[which])
