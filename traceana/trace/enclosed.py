"""Operators that need not be kept, since they lie wholly in others of their thread."""

import numpy as np

from traceana.trace.columns import Bools, Ints

_BEFORE_ALL = np.iinfo(np.int64).min


class Enclosed:
    """Tells of operators, a batch after the other, which lie in one that came before, or in one of their own batch.

    What is left has the same outermost operators, and those of PyTorch's own (`aten`) the same union: they count as
    compute on a trace without a device, where others only say what the host was in.
    """

    def __init__(self) -> None:
        self._threads: dict[int, _Reach] = {}

    def found(self, start: Ints, end: Ints, thread: Ints, aten: Bools) -> Bools:
        """Whether each operator lies in another one, of PyTorch's own in another of these."""
        enclosed = np.zeros(len(start), dtype=np.bool_)
        for one in np.unique(thread).tolist():
            mine = np.flatnonzero(thread == one)
            mine = mine[np.lexsort((-end[mine], start[mine]))]
            reach = self._threads.setdefault(one, _Reach())
            enclosed[mine] = reach.encloses(start[mine], end[mine], aten[mine])
        return enclosed


class _Reach:
    """How far a thread's operators reach, as far as they begin before all that is to come."""

    def __init__(self) -> None:
        self._latest = self._of_any = self._of_aten = _BEFORE_ALL

    def encloses(self, start: Ints, end: Ints, aten: Bools) -> Bools:
        """Of operators in order of start, the longer first."""
        if start[0] < self._latest:
            # An earlier batch held what begins later, and is around nothing here.
            self._of_any = self._of_aten = _BEFORE_ALL
        of_any = np.maximum.accumulate(np.concatenate(([self._of_any], end)))
        of_aten = np.maximum.accumulate(np.concatenate(([self._of_aten], np.where(aten, end, _BEFORE_ALL))))
        self._latest = max(self._latest, int(start[-1]))
        self._of_any, self._of_aten = int(of_any[-1]), int(of_aten[-1])
        reach = np.where(aten, of_aten[:-1], of_any[:-1])
        return np.asarray((start < reach) & (end <= reach))
