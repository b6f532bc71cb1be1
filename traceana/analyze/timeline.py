"""The timeline strip: what each rank's device did during one step, on the common clock."""

from collections.abc import Mapping

import numpy as np

from traceana.analyze.clocks import ClockOffsets
from traceana.analyze.each_rank import EachRank
from traceana.analyze.intervals import Intervals
from traceana.analyze.measure import RankResult
from traceana.analyze.steps import Executions
from traceana.report import Timeline, TimelineRow, TimelineSlice
from traceana.trace.columns import Bools, Ints

KINDS = ("", "compute", "comm", "overlapped", "memory")
"""Of a stretch of time; the first is idleness, which is no slice."""
_PIXELS = 600
_MOST_RANKS = 16
"""Of more, one strip is as much as a report holds."""
_MOST_STRETCHES = 2400
"""A row of more changes than this is gathered, which bounds the report's size."""


def timelines(ranks: Mapping[int, RankResult], clocks: ClockOffsets, steps: Executions) -> tuple[Timeline, ...]:
    """The middle one of `steps`, and where ranks are few the slowest and the fastest steady one beside it.

    The whole window where there is no step; none without activity. Of the ranks whose clocks can be compared with the
    lowest one's.
    """
    active = [rank for rank, result in sorted(ranks.items()) if result.split.span_ns]
    shown = EachRank(ranks, _itself, [rank for rank in active if clocks.comparable((active[0], rank))])
    windows = _windows(shown, clocks, steps)
    if len(windows):
        chosen = _chosen(windows, steps, others=len(shown) <= _MOST_RANKS)
        return tuple(
            _strip(shown, clocks, steps.names[index], windows[index], choice) for choice, index in chosen.items()
        )
    if not shown:
        return ()
    common = np.stack([clocks.common(rank, _extent(result)) for rank, result in shown.items()])
    return (_strip(shown, clocks, "whole window", np.array([common[:, 0].min(), common[:, 1].max()]), "window"),)


def _itself(result: RankResult) -> RankResult:
    return result


def _chosen(windows: Ints, steps: Executions, *, others: bool) -> dict[str, int]:
    """Steps by what they are chosen for; the first one is warm-up, those cut short are not whole."""
    middle = len(steps) // 2
    steady = [index for index in range(1, len(windows)) if not steps.cut_short[index]] if others else []
    by_length = sorted(steady, key=lambda index: int(windows[index, 1] - windows[index, 0]))
    ends = {"slowest": by_length[-1], "fastest": by_length[0]} if by_length else {}
    return {"middle": middle, **{choice: index for choice, index in ends.items() if index != middle}}


def _strip(ranks: Mapping[int, RankResult], clocks: ClockOffsets, title: str, window: Ints, choice: str) -> Timeline:
    start, end = window.tolist()
    rows = tuple(
        TimelineRow(rank=rank, slices=_slices(result, *clocks.own(rank, window).tolist()))
        for rank, result in ranks.items()
    )
    return Timeline(title=title, duration_ns=end - start, rows=rows, start_ns=start, choice=choice)


def _windows(ranks: Mapping[int, RankResult], clocks: ClockOffsets, steps: Executions) -> Ints:
    """A row a step, from its first start on any rank to its last end, on the common clock; none without steps."""
    having = [rank for rank in steps.start_ns if rank in ranks]
    if not having or not len(steps):
        return np.zeros((0, 2), dtype=np.int64)
    starts = np.stack([clocks.common(rank, steps.start_ns[rank][: len(steps)]) for rank in having])
    ends = np.stack([clocks.common(rank, steps.end_ns[rank][: len(steps)]) for rank in having])
    return np.stack([starts.min(axis=0), ends.max(axis=0)], axis=1)


def _extent(result: RankResult) -> Ints:
    busy = result.occupation.busy
    return np.array([busy.start[0], busy.end[-1]])


def _slices(result: RankResult, start: int, end: int) -> tuple[TimelineSlice, ...]:
    """The window cut at every change of what the device does."""
    occupied = result.occupation
    kinds = [_touching(one, start, end) for one in (occupied.compute, occupied.communication, occupied.memory)]
    cuts = np.unique(np.concatenate([[start, end], *[np.clip(e, start, end) for s in kinds for e in (s.start, s.end)]]))
    if len(cuts) < 2:
        return ()
    middle = (cuts[:-1] + cuts[1:]) // 2
    compute, communication, memory = (_inside(middle, kind) for kind in kinds)
    kind = np.select([compute & communication, communication, compute, memory], [3, 2, 1, 4], 0)
    if len(kind) > _MOST_STRETCHES:
        cuts, kind = _gathered(cuts, kind)
    return _merged(cuts - start, kind)


def _touching(kind: Intervals, start: int, end: int) -> Intervals:
    """Those of the intervals that are not wholly before or after the window."""
    inside = slice(np.searchsorted(kind.end, start, side="right"), np.searchsorted(kind.start, end, side="left"))
    return Intervals(kind.start[inside], kind.end[inside])


def _gathered(cuts: Ints, kind: Ints) -> tuple[Ints, Ints]:
    """Of each of _PIXELS parts of the window its kinds, each in one piece: no time is lost, nor made of idleness."""
    # From 0: times since the epoch do not fit a double to the ns.
    grid = cuts[0] + np.linspace(0, cuts[-1] - cuts[0], _PIXELS + 1).astype(np.int64)
    edges = np.unique(np.concatenate([cuts, grid]))
    begin = edges[:-1]
    pixel = np.searchsorted(grid, begin, side="right") - 1
    code = pixel * len(KINDS) + kind[np.searchsorted(cuts, begin, side="right") - 1]
    found, first, group = np.unique(code, return_index=True, return_inverse=True)
    length = np.zeros(len(found), dtype=np.int64)
    np.add.at(length, group, np.diff(edges))
    by_appearance = np.argsort(first)
    ends = cuts[0] + np.cumsum(length[by_appearance])
    return np.concatenate([cuts[:1], ends]), found[by_appearance] % len(KINDS)


def _inside(times: Ints, kind: Intervals) -> Bools:
    if not len(kind.start):
        return np.zeros(len(times), dtype=np.bool_)
    index = np.maximum(np.searchsorted(kind.start, times, side="right") - 1, 0)
    return np.asarray((kind.start[index] <= times) & (times < kind.end[index]))


def _merged(edges: Ints, kind: Ints) -> tuple[TimelineSlice, ...]:
    """Neighbours of one kind as one slice; idleness as none."""
    begins = np.flatnonzero(np.diff(kind, prepend=-1))
    starts, kinds = edges[begins].tolist(), kind[begins].tolist()
    ends = [*starts[1:], int(edges[-1])]
    return tuple(
        TimelineSlice(start_ns=begin, end_ns=end, kind=KINDS[code])
        for begin, end, code in zip(starts, ends, kinds, strict=True)
        if code
    )
