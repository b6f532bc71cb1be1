"""How each rank spent its window: stacked bars, the runs in one frame."""

from collections.abc import Sequence, Set

import msgspec

from traceana import units
from traceana.render.page.activities import ACTIVITIES
from traceana.render.page.drawn_ranks import drawn_ranks
from traceana.render.page.host import device
from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.rest import MOST_ROWS, split
from traceana.render.page.scales import Axis, LinearScale, Tick, linear_scale, time_axis
from traceana.render.page.section import Section
from traceana.render.page.stack import stack
from traceana.report import RankReport, Report

CROWDED_ROWS = 24
"""With more rank rows than this, bars become thin."""
LABEL_HEIGHT = 14
"""Pixels that a rank's label needs."""


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a bar; `at` and `width` in percent of the axis, `share_at` and `share` in percent of the window."""

    kind: str
    at: float
    width: float
    share_at: float
    share: float
    title: str


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One rank of one run, `y` pixels from the top."""

    run: RunMark
    rank: int
    y: int
    segments: tuple[Segment, ...]


class RankLabel(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a rank beside its bars, `y` pixels from the top."""

    rank: int
    y: float


class Breakdown(msgspec.Struct, frozen=True, kw_only=True):
    """The whole chart, by time and beside it by share of each window; sizes in pixels.

    `left_out` counts ranks that are in the table only.
    """

    axis: Axis
    share_axis: Axis
    bars: tuple[Bar, ...]
    labels: tuple[RankLabel, ...]
    bar_height: int
    height: int
    left_out: int
    first: Sequence[tuple[RunMark, RankReport]]
    """The rows of the table; of very many those of the drawn ranks come first."""
    rest: Sequence[tuple[RunMark, RankReport]]
    """The rows that are shown when they are asked for."""
    device: str
    """What the bars are of: "GPU", "host" or "GPU or host"."""


def breakdown(report: Report) -> Breakdown:
    """A group of bars per rank number, one bar per run that has the rank."""
    every_rank, drawn = _by_rank(report), drawn_ranks(report)
    by_rank = {rank: bars for rank, bars in every_rank.items() if rank in drawn}
    scale = linear_scale(max((rank.span_ns for run in report.runs for rank in run.ranks), default=1))
    crowded = sum(map(len, by_rank.values())) > CROWDED_ROWS
    bar_height, gap = (6, 4) if crowded else (16, 12)
    placed = stack(by_rank.values(), bar=bar_height, gap=gap)
    first, rest = split(_rows(report, drawn))
    stride = -(-LABEL_HEIGHT * len(by_rank) // max(placed.height, 1)) or 1
    return Breakdown(
        axis=time_axis(scale, "time in the window"),
        share_axis=Axis(
            title="share of the window (%)",
            ticks=tuple(Tick(at=at, label=f"{at}", minor=at % 50 != 0) for at in range(0, 101, 25)),
        ),
        bars=tuple(_bar(mark, rank, y, scale) for group in placed.groups for y, (mark, rank) in group.rows),
        labels=tuple(
            RankLabel(rank=number, y=group.middle)
            for index, (number, group) in enumerate(zip(by_rank, placed.groups, strict=True))
            if index % stride == 0
        ),
        bar_height=bar_height,
        height=placed.height,
        left_out=len(every_rank) - len(by_rank),
        first=first,
        rest=rest,
        device=device(report.runs),
    )


def _by_rank(report: Report) -> dict[int, list[tuple[RunMark, RankReport]]]:
    by_rank: dict[int, list[tuple[RunMark, RankReport]]] = {}
    for mark, run in marked_runs(report):
        for rank in run.ranks:
            by_rank.setdefault(rank.rank, []).append((mark, rank))
    return dict(sorted(by_rank.items()))


def _rows(report: Report, drawn: Set[int]) -> list[tuple[RunMark, RankReport]]:
    rows = [(mark, rank) for mark, run in marked_runs(report) for rank in run.ranks]
    return sorted(rows, key=lambda row: row[1].rank not in drawn) if len(rows) > MOST_ROWS else rows


def _bar(mark: RunMark, rank: RankReport, y: int, scale: LinearScale) -> Bar:
    segments = []
    start = 0
    for (kind, legend), ns in zip(ACTIVITIES, _parts(rank), strict=True):
        if ns > 0:
            title = f"{mark.label}, rank {rank.rank}: {legend} {units.duration(ns)}, {units.percent(ns, rank.span_ns)}"
            whole = max(rank.span_ns, 1)
            segments.append(
                Segment(
                    kind=kind,
                    at=scale.at(start),
                    width=scale.at(ns),
                    share_at=100 * start / whole,
                    share=100 * ns / whole,
                    title=title,
                )
            )
        start += ns
    return Bar(run=mark, rank=rank.rank, y=y, segments=tuple(segments))


def _parts(rank: RankReport) -> tuple[int, ...]:
    """The window in the order of ACTIVITIES; the parts add up to it."""
    return (
        rank.compute_ns - rank.overlapped_comm_ns,
        rank.overlapped_comm_ns,
        rank.exposed_comm_ns,
        rank.exposed_memory_ns,
        rank.idle_ns,
    )


SECTION = Section(name="breakdown", title="Where the time goes", view=breakdown)
