"""Which kernels, and which places of the host, took a late rank longer than the peers that waited for it."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from traceana.analyze.causes.compared import ComparedGroup, Floats
from traceana.analyze.causes.host import Place
from traceana.analyze.causes.spent import Ledger, Spent, total
from traceana.trace.columns import Ints


def longer(
    chosen: Sequence[tuple[ComparedGroup, Ints]], spent: Mapping[int, Spent]
) -> tuple[Mapping[Place, float], Mapping[Place, float]]:
    """By kernel and by place of the host the ns of one last rank in excess of its peers', summed over these.

    `chosen` are collectives, by group, to which one rank came last.
    """
    weights = {rank: np.zeros(len(one.marks) + 2) for rank, one in spent.items()}
    used: set[int] = set()
    for one, rows in chosen:
        for j, rank in enumerate(one.group.ranks):
            peers = one.waited[rows].sum(axis=1)
            # Each peer that waited is set against the last rank once.
            count = np.where(one.last[rows] == j, peers, -one.waited[rows, j].astype(np.int64))
            marks = spent[rank].marks
            np.add.at(weights[rank], np.searchsorted(marks, one.since_ns[rows, j], side="right"), count)
            np.add.at(weights[rank], np.searchsorted(marks, one.arrived_ns[rows, j], side="right"), -count)
            used.add(rank)
    kernels: Counter[Place] = Counter()
    host: Counter[Place] = Counter()
    for rank in used:
        weight = np.cumsum(weights[rank])
        _add(kernels, spent[rank].kernels, weight)
        _add(host, spent[rank].host, weight)
    return kernels, host


def _add(sums: "Counter[Place]", of: Ledger, weight: Floats) -> None:
    for name, ns in zip(of.names, total(of, weight[of.stretch]).tolist(), strict=True):
        sums[name] += ns
