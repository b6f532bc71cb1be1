"""Steps of all ranks on a common clock, as coloured strips: the middle one, and the slowest and the fastest."""

from collections.abc import Iterator
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt

from traceana import units
from traceana.render.page import open_at
from traceana.render.page.drawn_ranks import drawn_ranks
from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.scales import Axis, Tick, round_step
from traceana.render.page.section import Section
from traceana.report import Report, RunReport, TimelineCall, TimelineRow
from traceana.report import Timeline as TimelineData
from traceana.trace.columns import Bools, Ints

Floats = npt.NDArray[np.float64]

CELLS = 2000
"""A strip is drawn on a grid this fine: as wide as a large screen, and it bounds the file's size."""

MOST_ROWS = 64
"""Of more, a run has the middle step alone."""
FINER = 8
"""Ticks between two that have room where nothing is magnified."""

STYLES = {"compute": "compute", "comm": "exposed", "overlapped": "overlapped", "memory": "memory"}
KINDS = ("", *STYLES)
"""Idleness is the first."""


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """All stretches of one kind on one rank, as an SVG path over CELLS by 1."""

    kind: str
    outline: str


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call to point at, in percent of the axis."""

    op: str
    at: float
    width: float
    title: str


class Strip(msgspec.Struct, frozen=True, kw_only=True):
    """One rank, with its times in words."""

    rank: int
    paths: tuple[Path, ...]
    calls: tuple[Call, ...]
    title: str


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """One run's step; `choice` is what it was chosen for."""

    run: RunMark
    title: str
    choice: str
    duration: str
    command: str | None
    """Opens the step in Perfetto."""
    axis: Axis
    strips: tuple[Strip, ...]


def timelines(report: Report) -> tuple[Timeline, ...]:
    """The timelines of every run that has any; all share the longest's axis, so lengths can be compared."""
    drawn = drawn_ranks(report)
    every = [(mark, run, data) for mark, run in marked_runs(report) for data in _of_run(run)]
    if sum(len(data.rows) for _, _, data in every) > MOST_ROWS:
        every = [(mark, run, data) for mark, run, data in every if data is run.timeline]
    longest = max((data.duration_ns for _, _, data in every), default=0)
    return tuple(_timeline(mark, run, data, longest, drawn) for mark, run, data in every)


def _of_run(run: RunReport) -> list[TimelineData]:
    found = [run.timeline, *run.other_timelines] if run.timeline else []
    return [data for data in found if data.duration_ns > 0]


def _timeline(mark: RunMark, run: RunReport, data: TimelineData, longest_ns: int, drawn: frozenset[int]) -> Timeline:
    return Timeline(
        run=mark,
        title=data.title,
        choice=data.choice,
        duration=units.duration(data.duration_ns),
        command=open_at.of_numbered_span(run, data.title),
        axis=_axis(longest_ns),
        strips=tuple(_strip(row, longest_ns) for row in data.rows if row.rank in drawn),
    )


def _axis(longest_ns: int) -> Axis:
    """Ticks at round times, fine ones for a magnified strip; its end need not be round."""
    unit = units.time_unit(longest_ns)
    coarse, fine = (round_step(longest_ns / unit.scale / parts) for parts in (6, 6 * FINER))
    every = round(coarse / fine)
    ticks = tuple(
        Tick(
            at=100 * place * fine * unit.scale / longest_ns,
            label=units.tick(place * fine),
            minor=place % (2 * every) != 0,
            fine=place % every != 0,
        )
        for place in range(int(longest_ns / unit.scale / fine) + 1)
    )
    return Axis(title=f"time in the step ({unit.name})", ticks=ticks)


def _strip(row: TimelineRow, longest_ns: int) -> Strip:
    cells = _cells(row, longest_ns)
    drawn = {kind: cells == KINDS.index(kind) for kind in STYLES}
    kinds = [kind for kind in STYLES if drawn[kind].any()]
    times = {kind: sum(part.end_ns - part.start_ns for part in row.slices if part.kind == kind) for kind in kinds}
    words = {"comm": "exposed communication", "overlapped": "overlapped communication"}
    summary = ", ".join(f"{words.get(kind, kind)} {units.duration(ns)}" for kind, ns in times.items())
    return Strip(
        rank=row.rank,
        paths=tuple(Path(kind=STYLES[kind], outline=_outline(drawn[kind])) for kind in kinds),
        calls=tuple(_call(row.rank, call, longest_ns) for call in row.calls),
        title=f"rank {row.rank}: {f'about {summary}' if summary else 'nothing ran'}",
    )


def _call(rank: int, call: TimelineCall, longest_ns: int) -> Call:
    """Operation, size, group, wait and transfer in words."""
    group = f" among {units.plural(call.group_size, 'rank')}" if call.group_size else ""
    split = "not matched across ranks"
    if call.wait_ns is not None:
        split = f"waits {units.duration(call.wait_ns)}, transfers {units.duration(call.transfer_ns)}"
    name = units.sized(call.op, call.message_bytes)
    return Call(
        op=call.op,
        at=100 * call.start_ns / longest_ns,
        width=100 * (call.end_ns - call.start_ns) / longest_ns,
        title=f"rank {rank}: {name}{group}, {units.duration(call.end_ns - call.start_ns)} here, {split}",
    )


def _cells(row: TimelineRow, longest_ns: int) -> Ints:
    """A kind a cell, by its place in KINDS: that of which most is still to be drawn, so that areas are as the times."""
    shares = _shares(row, longest_ns / CELLS)
    cells = np.zeros(CELLS, dtype=np.int64)
    to_draw = [0.0] * len(KINDS)
    for first, after in _alike(shares):
        share = shares[first].tolist()
        for cell in range(first, after):
            to_draw = [left + more for left, more in zip(to_draw, share, strict=True)]
            most = to_draw.index(max(to_draw))
            to_draw[most] -= 1
            cells[cell] = most
            if share[most] == 1:
                # As much is to be drawn as before this cell, so that it goes on like this.
                cells[cell:after] = most
                break
    return cells


def _shares(row: TimelineRow, width_ns: float) -> Floats:
    """Each cell's share of every kind, by cell and place in KINDS."""
    start = np.array([part.start_ns for part in row.slices], dtype=np.float64) / width_ns
    end = np.minimum(np.array([part.end_ns for part in row.slices], dtype=np.float64) / width_ns, CELLS)
    kind = np.array([KINDS.index(part.kind) for part in row.slices], dtype=np.int64)
    within = start < CELLS
    start, end, kind = start[within], end[within], kind[within]
    first, last = start.astype(np.int64), np.minimum(end.astype(np.int64), CELLS - 1)
    shares = np.zeros((CELLS + 1, len(KINDS)))
    # From the first cell to the one before the last as if each were whole, then what that is too much or too little.
    np.add.at(shares, (first, kind), 1)
    np.add.at(shares, (last, kind), -1)
    shares = np.cumsum(shares, axis=0)[:CELLS]
    np.add.at(shares, (first, kind), first - start)
    np.add.at(shares, (last, kind), end - last)
    shares[:, 0] = 1 - shares.sum(axis=1)
    return np.asarray(shares)


def _alike(shares: Floats) -> Iterator[tuple[int, int]]:
    """Stretches of cells that one kind fills, and every other cell by itself."""
    filled = (shares == 1).any(axis=1) & (np.abs(shares).sum(axis=1) == 1)
    kind = np.where(filled, shares.argmax(axis=1), -1 - np.arange(CELLS))
    edges = np.flatnonzero(np.diff(kind)) + 1
    return pairwise([0, *edges.tolist(), CELLS])


def _outline(drawn: Bools) -> str:
    """Rectangles over the runs of cells that are drawn."""
    edges = np.flatnonzero(np.diff(drawn, prepend=False, append=False)).tolist()
    return "".join(f"M{start} 0h{end - start}v1H{start}z" for start, end in zip(edges[::2], edges[1::2], strict=True))


class Timelines(msgspec.Struct, frozen=True, kw_only=True):
    """All runs' steps, drawn on a grid of `cells`; `choices` are what they were chosen for, where that is several."""

    timelines: tuple[Timeline, ...]
    choices: tuple[str, ...]
    cells: int


def _timelines(report: Report) -> Timelines | None:
    found = timelines(report)
    if not found:
        return None
    choices = tuple(dict.fromkeys(one.choice for one in found))
    return Timelines(timelines=found, choices=choices if len(choices) > 1 else (), cells=CELLS)


SECTION = Section(name="timeline", title="One step, all ranks", view=_timelines)
