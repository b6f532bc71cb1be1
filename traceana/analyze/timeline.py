"""The timeline strip: what each rank's device did during one step, on the common clock."""

from collections.abc import Mapping

import numpy as np

from traceana.analyze.clocks import ClockOffsets
from traceana.analyze.intervals import Intervals
from traceana.analyze.measure import RankResult
from traceana.analyze.steps import Executions
from traceana.report import Timeline, TimelineRow, TimelineSlice
from traceana.trace.columns import Bools, Ints

KINDS = ("", "compute", "comm", "overlapped", "memory")
"""Of a stretch of time; the first is idleness, which is no slice."""
_PIXELS = 600
_MOST_STRETCHES = 2400
"""A row of more changes than this is gathered, which bounds the report's size."""


def timeline(ranks: Mapping[int, RankResult], clocks: ClockOffsets, steps: Executions) -> Timeline | None:
    """The middle one of `steps`, or the whole window where there is none; None without activity.

    Of the ranks whose clocks can be compared with the lowest one's.
    """
    active = [rank for rank, result in sorted(ranks.items()) if result.split.span_ns]
    shown = {rank: ranks[rank] for rank in active if clocks.comparable((active[0], rank))}
    if not shown:
        return None
    title, start, end = _window(shown, clocks, steps)
    window = np.array([start, end], dtype=np.int64)
    rows = tuple(
        TimelineRow(rank=rank, slices=_slices(result, *clocks.own(rank, window).tolist()))
        for rank, result in shown.items()
    )
    return Timeline(title=title, duration_ns=end - start, rows=rows, start_ns=start)


def _window(ranks: Mapping[int, RankResult], clocks: ClockOffsets, steps: Executions) -> tuple[str, int, int]:
    """From the first start of the step on any rank to its last end, on the common clock."""
    middle = len(steps) // 2
    extents = {
        rank: np.array([start[middle], steps.end_ns[rank][middle]])
        for rank, start in steps.start_ns.items()
        if rank in ranks
    }
    title = steps.names[middle] if extents else "whole window"
    extents = extents or {rank: _extent(result) for rank, result in ranks.items()}
    common = np.stack([clocks.common(rank, extent) for rank, extent in extents.items()])
    return title, int(common[:, 0].min()), int(common[:, 1].max())


def _extent(result: RankResult) -> Ints:
    busy = result.occupation.busy
    return np.array([busy.start[0], busy.end[-1]])


def _slices(result: RankResult, start: int, end: int) -> tuple[TimelineSlice, ...]:
    """The window cut at every change of what the device does."""
    occupied = result.occupation
    kinds = [occupied.compute, occupied.communication, occupied.memory]
    cuts = np.unique(np.concatenate([[start, end], *[np.clip(e, start, end) for s in kinds for e in (s.start, s.end)]]))
    if len(cuts) < 2:
        return ()
    middle = (cuts[:-1] + cuts[1:]) // 2
    compute, communication, memory = (_inside(middle, kind) for kind in kinds)
    kind = np.select([compute & communication, communication, compute, memory], [3, 2, 1, 4], 0)
    if len(kind) > _MOST_STRETCHES:
        cuts, kind = _gathered(cuts, kind)
    return _merged(cuts - start, kind)


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
