"""When the ranks of a collective were last together before it: from there on they can be compared."""

from collections.abc import Mapping, Sequence

import numpy as np

from traceana.analyze.collectives import Collectives
from traceana.analyze.matched import MatchedCalls, MatchedGroup
from traceana.trace.columns import Bools, Ints


def last_together(
    group: MatchedGroup, groups: Sequence[MatchedCalls], own: Mapping[int, Collectives], opened_ns: Mapping[int, int]
) -> tuple[Ints, Bools]:
    """For each collective and rank of `group`, by the rank's own clock, the end of the last call of all its ranks.

    That is a call of any of `groups`, whose clocks can be compared, that holds them, which was over on each of them
    when it arrived; before the first one it is when the rank's recording began, and then the second value is True.
    Shapes (collectives, ranks) and (collectives,).
    """
    arrived = own_times(group, own, "start_ns")
    since = np.tile([opened_ns[rank] for rank in group.ranks], (len(arrived), 1))
    found = np.zeros(len(arrived), dtype=np.bool_)
    for other in groups:
        if not set(other.ranks).issuperset(group.ranks):
            continue
        ends = _ends(other, group.ranks, own)
        before = [np.searchsorted(ends[:, j], arrived[:, j], side="right") - 1 for j in range(len(group.ranks))]
        last = np.min(before, axis=0)
        later = (last >= 0) & (~found | (ends[np.maximum(last, 0), 0] > since[:, 0]))
        since[later] = ends[last[later]]
        found |= later
    return np.minimum(since, arrived), ~found


def own_times(group: MatchedGroup | MatchedCalls, own: Mapping[int, Collectives], which: str) -> Ints:
    """Starts or ends of a group's calls, by each rank's own clock."""
    columns: list[Ints] = [getattr(own[rank], which)[group.calls[:, j]] for j, rank in enumerate(group.ranks)]
    return np.stack(columns, axis=1)


def _ends(group: MatchedCalls, ranks: Sequence[int], own: Mapping[int, Collectives]) -> Ints:
    """Ends of a group's calls on some of its ranks, in order on each of them."""
    columns = {rank: column for column, rank in enumerate(group.ranks)}
    ends = np.stack([own[rank].end_ns[group.calls[:, columns[rank]]] for rank in ranks], axis=1)
    return np.maximum.accumulate(ends[np.argsort(ends[:, 0], kind="stable")], axis=0)
