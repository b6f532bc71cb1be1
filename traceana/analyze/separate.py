"""Whether ranks that leave calls at nearly the same time are of one process group, or of several that keep pace.

Ranks of one group leave a call together, whenever they came. Sets of ranks whose ends are much nearer to each other
than to those of the others, and each of which leaves as long after its own last rank whenever the others came, are
groups of their own.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from traceana.analyze.align import SLACK_NS, CallSequence, align, scatter
from traceana.trace.columns import Bools, Ints
from traceana.trace.narrow import narrow

_MUCH_FARTHER = 4
_LEAST_NS = 500
"""Ends this near are as good as equal."""
_FEW = 4
_MOST = 512
_QUANTILE = 0.75
"""Above the middle, so that groups show which meet in every other call only."""


def separated(calls: Mapping[int, CallSequence], *, comparable: bool) -> list[tuple[int, ...]]:
    """The ranks in sets that leave calls by themselves; all in one where nothing tells them apart.

    Each rank is a set by itself where in some of the calls all are together, and in others not. Where clocks are not
    `comparable`, what is steady between them tells nothing.
    """
    ranks = sorted(calls)
    whole = [tuple(ranks)]
    if len(ranks) < 4:
        return whole
    start_ns, end_ns = _same(calls, ranks, comparable=comparable)
    sets = _near(end_ns)
    if len(sets) < 2 or min(map(len, sets)) < 2:
        return whole
    told = [_Apart(start_ns, end_ns, sets[0], other) for other in sets[1:]]
    if not all(one.alone for one in told):
        return whole
    if any(one.sometimes for one in told):
        return [(rank,) for rank in ranks]
    return [tuple(ranks[column] for column in columns) for columns in sets]


def _same(calls: Mapping[int, CallSequence], ranks: Sequence[int], *, comparable: bool) -> tuple[Ints, Ints]:
    """Starts and ends of calls that all ranks have, joint ones if any are: rows are calls, columns are ranks."""
    first = calls[ranks[0]]
    rows = narrow(np.full((len(first), len(ranks)), -1, dtype=np.int64))
    rows[:, 0] = np.where(first.joint | ~first.joint.any(), np.arange(len(first)), -1)
    for column, rank in enumerate(ranks[1:], start=1):
        pairs = align(first, calls[rank], 0 if comparable else None)
        rows[pairs.left, column] = pairs.right
    rows = _some(rows[(rows >= 0).all(axis=1)])
    columns = [(calls[rank], rows[:, column]) for column, rank in enumerate(ranks)]
    starts = np.stack([mine.start_ns[index] for mine, index in columns], axis=1)
    ends = np.stack([mine.end_ns[index] for mine, index in columns], axis=1)
    ahead = 0 if comparable else _ahead(ends)
    return starts - ahead, ends - ahead


def _some(rows: Ints) -> Ints:
    """So many rows at most, at no fixed distance, since groups may take turns."""
    if len(rows) <= _MOST:
        return rows
    chosen = np.random.default_rng(0).choice(len(rows), _MOST, replace=False)
    some: Ints = rows[np.sort(chosen)]
    return some


def _ahead(end_ns: Ints) -> Ints:
    """How far each column's clock is ahead of the first one's, by a line through the differences of ends."""
    if len(end_ns) < _FEW:
        return np.zeros_like(end_ns)
    passed = (end_ns[:, 0] - end_ns[0, 0]).astype(np.float64)
    slope, begin = np.polyfit(passed, end_ns - end_ns[:, :1], 1)
    ahead: Ints = np.rint(passed[:, None] * slope + begin).astype(np.int64)
    return ahead


def _near(end_ns: Ints) -> list[list[int]]:
    """Columns in sets, each of which is much nearer to its first one than the next set is."""
    left = list(range(end_ns.shape[1]))
    sets: list[list[int]] = []
    while left and len(end_ns) >= _FEW:
        first, *others = left
        apart = np.quantile(np.abs(end_ns[:, others] - end_ns[:, [first]]), _QUANTILE, axis=0)
        order = np.argsort(apart, kind="stable")
        sorted_ns = np.maximum(apart[order], _LEAST_NS)
        farther = sorted_ns[1:] / sorted_ns[:-1]
        many = int(np.argmax(farther)) + 1 if len(farther) and farther.max() >= _MUCH_FARTHER else len(others)
        sets.append(sorted([first, *(others[place] for place in order[:many])]))
        left = [column for column in left if column not in sets[-1]]
    return sets


class _Apart:
    """What two sets of columns have to do with each other."""

    def __init__(self, start_ns: Ints, end_ns: Ints, one: Sequence[int], other: Sequence[int]) -> None:
        ends = [end_ns[:, columns] for columns in (one, other)]
        took = [
            end.max(axis=1) - start_ns[:, columns].max(axis=1) for end, columns in zip(ends, (one, other), strict=True)
        ]
        within = max(_LEAST_NS, *(float(np.quantile(np.ptp(end, axis=1), _QUANTILE)) for end in ends))
        self._ends_ns = ends[0].max(axis=1) - ends[1].max(axis=1)
        self._took_ns = took[0] - took[1]
        self._far: Bools = np.abs(self._ends_ns) > 2 * within

    @property
    def alone(self) -> bool:
        """Whether each left as long after its own last rank, whenever the others came and left."""
        ends, took = self._ends_ns[self._far], self._took_ns[self._far]
        if len(ends) < _FEW:
            return False
        lag = float(np.median(np.abs(ends)))
        keep_lag = lag > SLACK_NS and 2 * float(np.median(np.abs(took))) <= lag
        return keep_lag or (scatter(ends) > 2 * _LEAST_NS and 2 * scatter(took) <= scatter(ends))

    @property
    def sometimes(self) -> bool:
        """Whether in some of the calls they left together, although they had not come together."""
        near, far = self._took_ns[~self._far], self._took_ns[self._far]
        return len(near) >= _FEW and scatter(near) > 2 * (scatter(far) + _LEAST_NS)
