"""The timeline strip: what each rank's device did during one step, on the common clock."""

from collections.abc import Mapping, Sequence

import numpy as np

from traceana.analyze.intervals import Intervals
from traceana.analyze.measure import RankResult
from traceana.analyze.spans import SpanTimes
from traceana.analyze.steps import Executions
from traceana.report import Timeline, TimelineRow, TimelineSlice
from traceana.trace.columns import Ints

_MOST_PIXELS = 600


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
    """Cut the window at every change, name each stretch, and join stretches too thin to draw with their neighbours."""
    occupied = result.occupation
    kinds = [occupied.compute, occupied.communication, occupied.memory]
    cuts = np.unique(np.concatenate([[start, end], *[np.clip(e, start, end) for s in kinds for e in (s.start, s.end)]]))
    if len(cuts) < 2:
        return ()
    middle = (cuts[:-1] + cuts[1:]) // 2
    compute, communication, memory = (_inside(middle, kind) for kind in kinds)
    name = np.select(
        [compute & communication, communication, compute, memory], ["overlapped", "comm", "compute", "memory"], ""
    )
    return _joined(cuts, name.tolist(), start, (end - start) // _MOST_PIXELS)


def _inside(times: Ints, kind: Intervals) -> "np.typing.NDArray[np.bool_]":
    if not len(kind.start):
        return np.zeros(len(times), dtype=np.bool_)
    index = np.maximum(np.searchsorted(kind.start, times, side="right") - 1, 0)
    return np.asarray((kind.start[index] <= times) & (times < kind.end[index]))


def _joined(cuts: Ints, names: Sequence[str], origin: int, thinnest: int) -> tuple[TimelineSlice, ...]:
    slices: list[TimelineSlice] = []
    edges: list[int] = (cuts - origin).tolist()
    for begin, finish, name in zip(edges[:-1], edges[1:], names, strict=True):
        last = slices[-1] if slices else None
        if last and last.end_ns == begin and (last.kind == name or last.end_ns - last.start_ns < thinnest):
            kind = last.kind if last.kind == name else name or last.kind
            slices[-1] = TimelineSlice(start_ns=last.start_ns, end_ns=finish, kind=kind)
        elif name:
            slices.append(TimelineSlice(start_ns=begin, end_ns=finish, kind=name))
    return tuple(slices)
