"""Which rank the others wait for, and how long each rank waits, from the table of calls."""

from collections.abc import Iterator, Sequence

import numpy as np

from traceana.analyze.calls import Calls
from traceana.analyze.matched import Matching
from traceana.report import RankWait, Straggler
from traceana.trace.columns import Ints


def stragglers(matching: Matching, calls: Calls, ranks: Sequence[int]) -> tuple[Straggler, ...]:
    """For every rank how often it arrived last while others waited, and the waiting that this caused."""
    early = np.isin(np.arange(int(calls.collective.max(initial=-1)) + 1), calls.collective[calls.warm_up])
    sums = {rank: np.zeros(4, dtype=np.int64) for rank in ranks}
    number = 0
    for group in matching.groups:
        waits, last = group.wait_ns.sum(axis=1), group.start_ns.argmax(axis=1)
        warm_up = early[number : number + len(waits)]
        number += len(waits)
        for column, rank in enumerate(group.ranks):
            mine = (last == column) & (waits > 0)
            first = mine & warm_up
            sums[rank] += (mine.sum(), waits[mine].sum(), first.sum(), waits[first].sum())
    return tuple(_straggler(rank, *sums[rank].tolist()) for rank in sorted(sums))


def _straggler(rank: int, times: int, caused: int, early_times: int, early_caused: int) -> Straggler:
    return Straggler(
        rank=rank,
        times_last=times,
        wait_caused_ns=caused,
        warm_up_times_last=early_times,
        warm_up_wait_caused_ns=early_caused,
    )


def waits(calls: Calls) -> tuple[RankWait, ...]:
    """The wait matrix, over matched calls."""
    ops = sorted({signature.op for signature in calls.signatures})
    op_of = np.array([ops.index(signature.op) for signature in calls.signatures], dtype=np.int64)
    return tuple(
        cell for rank, rows in calls.rows_of_ranks.items() for cell in _rank_waits(calls, rank, rows, ops, op_of)
    )


def _rank_waits(calls: Calls, rank: int, rows: slice, ops: Sequence[str], op_of: Ints) -> Iterator[RankWait]:
    matched, wait = calls.matched[rows], calls.wait_ns[rows]
    op, early = op_of[calls.signature[rows]], matched & calls.warm_up[rows]
    for code, name in enumerate(ops):
        mine = matched & (op == code)
        if mine.any():
            yield RankWait(
                rank=rank,
                op=name,
                calls=int(mine.sum()),
                wait_ns=int(wait[mine].sum()),
                warm_up_calls=int((mine & early).sum()),
                warm_up_wait_ns=int(wait[mine & early].sum()),
            )
