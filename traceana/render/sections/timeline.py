"""One step of all ranks on a common clock, as coloured strips."""

from dataclasses import dataclass

from traceana import units
from traceana.render.page import open_at
from traceana.render.page.drawn_ranks import drawn_ranks
from traceana.render.page.marks import RunMark, marked_runs
from traceana.render.page.scales import Axis, Tick, round_step
from traceana.render.page.section import Section
from traceana.report import Report, RunReport, TimelineCall, TimelineRow
from traceana.report import Timeline as TimelineData

CELLS = 2000
"""A strip is drawn on a grid this fine: as wide as a large screen, and it bounds the file's size."""

STYLES = {"compute": "compute", "comm": "exposed", "overlapped": "overlapped", "memory": "memory"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """All stretches of one kind on one rank, as an SVG path over CELLS by 1."""

    kind: str
    outline: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to point at, in percent of the axis."""

    op: str
    at: float
    width: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One rank, with its times in words."""

    rank: int
    paths: tuple[Path, ...]
    calls: tuple[Call, ...]
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One run's step."""

    run: RunMark
    title: str
    duration: str
    command: str | None
    """Opens the step in Perfetto."""
    axis: Axis
    strips: tuple[Strip, ...]


def timelines(report: Report) -> tuple[Timeline, ...]:
    """A timeline per run that has one; all share the longest's axis, so lengths can be compared."""
    found = [
        (mark, run, run.timeline) for mark, run in marked_runs(report) if run.timeline and run.timeline.duration_ns > 0
    ]
    longest = max((data.duration_ns for _, _, data in found), default=0)
    drawn = drawn_ranks(report)
    return tuple(_timeline(mark, run, data, longest, drawn) for mark, run, data in found)


def _timeline(mark: RunMark, run: RunReport, data: TimelineData, longest_ns: int, drawn: frozenset[int]) -> Timeline:
    return Timeline(
        run=mark,
        title=data.title,
        duration=units.duration(data.duration_ns),
        command=open_at.of_numbered_span(run, data.title),
        axis=_axis(longest_ns),
        strips=tuple(_strip(row, longest_ns) for row in data.rows if row.rank in drawn),
    )


def _axis(longest_ns: int) -> Axis:
    """Ticks at round times; unlike a chart's, the strip's end need not be round."""
    unit = units.time_unit(longest_ns)
    step = round_step(longest_ns / unit.scale / 6)
    places = range(int(longest_ns / unit.scale / step) + 1)
    ticks = tuple(
        Tick(at=100 * place * step * unit.scale / longest_ns, label=units.tick(place * step), minor=place % 2 == 1)
        for place in places
    )
    return Axis(title=f"time in the step ({unit.name})", ticks=ticks)


def _strip(row: TimelineRow, longest_ns: int) -> Strip:
    cells = _cells(row, longest_ns)
    kinds = [kind for kind in STYLES if kind in cells]
    times = {kind: sum(part.end_ns - part.start_ns for part in row.slices if part.kind == kind) for kind in kinds}
    words = {"comm": "exposed communication", "overlapped": "overlapped communication"}
    summary = ", ".join(f"{words.get(kind, kind)} {units.duration(ns)}" for kind, ns in times.items())
    return Strip(
        rank=row.rank,
        paths=tuple(Path(kind=STYLES[kind], outline=_outline(cells, kind)) for kind in kinds),
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


def _cells(row: TimelineRow, longest_ns: int) -> list[str]:
    """A kind a cell, idleness included: the one of which most is still to be drawn, so that areas are as the times."""
    cells = []
    to_draw = dict.fromkeys(("", *STYLES), 0.0)
    for covered in _covered(row, longest_ns / CELLS):
        for kind, share in covered.items():
            to_draw[kind] += share
        to_draw[""] += 1 - sum(covered.values())
        most = max(to_draw, key=lambda kind: to_draw[kind])
        to_draw[most] -= 1
        cells.append(most)
    return cells


def _covered(row: TimelineRow, width_ns: float) -> list[dict[str, float]]:
    """Each cell's share of every kind."""
    cells: list[dict[str, float]] = [{} for _ in range(CELLS)]
    for part in row.slices:
        first, last = int(part.start_ns / width_ns), min(CELLS - 1, int(part.end_ns / width_ns))
        for cell in range(first, last + 1):
            covered = min(part.end_ns, (cell + 1) * width_ns) - max(part.start_ns, cell * width_ns)
            cells[cell][part.kind] = cells[cell].get(part.kind, 0.0) + covered / width_ns
    return cells


def _outline(cells: list[str], kind: str) -> str:
    """Rectangles over the runs of equal cells."""
    outline = []
    start = None
    for index, cell in enumerate([*cells, ""]):
        if cell == kind and start is None:
            start = index
        elif cell != kind and start is not None:
            outline.append(f"M{start} 0h{index - start}v1H{start}z")
            start = None
    return "".join(outline)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timelines:
    """All runs' steps, drawn on a grid of `cells`."""

    timelines: tuple[Timeline, ...]
    cells: int


def _timelines(report: Report) -> Timelines | None:
    found = timelines(report)
    return Timelines(timelines=found, cells=CELLS) if found else None


SECTION = Section(name="timeline", title="One step, all ranks", view=_timelines)
