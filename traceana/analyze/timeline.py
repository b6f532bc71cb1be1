"""The timeline strip: what each rank's device did during one step, on the common clock."""

from collections.abc import Mapping

import numpy as np

from traceana.analyze.intervals import Intervals
from traceana.analyze.measure import RankResult
from traceana.analyze.spans import SpanTimes
from traceana.analyze.steps import Executions
from traceana.report import Timeline, TimelineRow, TimelineSlice
from traceana.trace.columns import Ints

KINDS = ("", "compute", "comm", "overlapped", "memory")
"""Of a stretch of time; the first is idleness, which is no slice."""
_PIXELS = 600
_MOST_STRETCHES = 2400
"""A row of more changes than this is gathered, which bounds the report's size."""


def timeline(ranks: Mapping[int, RankResult], offsets: Mapping[int, int], steps: Executions) -> Timeline | None:
    """The middle one of `steps`, or the whole window where there is none; None without activity."""
    active = {rank: result for rank, result in ranks.items() if result.split.span_ns}
    if not active:
        return None
    title, start, end = _window(active, offsets, steps)
    rows = [
        TimelineRow(rank=rank, slices=_slices(result, start + offsets.get(rank, 0), end + offsets.get(rank, 0)))
        for rank, result in sorted(active.items())
    ]
    return Timeline(title=title, duration_ns=end - start, rows=tuple(rows))


def _window(ranks: Mapping[int, RankResult], offsets: Mapping[int, int], steps: Executions) -> tuple[str, int, int]:
    """From the first activity that any rank launched in the step to the end of the last one, on the common clock."""
    middle = len(steps) // 2
    rows = {rank: steps.rows[rank][middle] for rank in ranks if rank in steps.rows} if len(steps) else {}
    if rows:
        lowest = min(rows)
        title = ranks[lowest].spans.names[rows[lowest]]
        extents = [_step_extent(ranks[rank].spans, row, offsets.get(rank, 0)) for rank, row in rows.items()]
    else:
        title = "whole window"
        extents = [_extent(result, offsets.get(rank, 0)) for rank, result in ranks.items()]
    return title, min(start for start, _ in extents), max(end for _, end in extents)


def _step_extent(spans: SpanTimes, row: int, offset: int) -> tuple[int, int]:
    return int(spans.device_start_ns[row]) - offset, int(spans.device_end_ns[row]) - offset


def _extent(result: RankResult, offset: int) -> tuple[int, int]:
    sets = [
        s
        for s in (result.occupation.compute, result.occupation.communication, result.occupation.memory)
        if len(s.start)
    ]
    return min(int(s.start[0]) for s in sets) - offset, max(int(s.end[-1]) for s in sets) - offset


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
    grid = np.linspace(cuts[0], cuts[-1], _PIXELS + 1).astype(np.int64)
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


def _inside(times: Ints, kind: Intervals) -> "np.typing.NDArray[np.bool_]":
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
