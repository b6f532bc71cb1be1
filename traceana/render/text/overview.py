"""Runs at a glance, a column each, and what to type next."""

from collections.abc import Callable, Sequence

from traceana import units
from traceana.render.answer.causes import Explained
from traceana.render.answer.figures import exposed_share
from traceana.render.answer.overview import MOST_COSTLY, Overview, overview
from traceana.render.page import open_at
from traceana.render.page.marks import baseline_first
from traceana.render.text.tables import TextTable
from traceana.report import Report, RunReport

MOST_RUNS = 6
"""Columns that a terminal holds."""


def overview_table(report: Report) -> TextTable:
    """Step, exposed share and its causes, the operations that cost most, and the late rank; then the next command."""
    runs = baseline_first(report).runs
    found = [overview(run) for run in runs[:MOST_RUNS]]
    rows = [(name, *(value(one) for one in found)) for name, value in _FACTS]
    left_out = len(runs) - len(found)
    more = [f"{units.plural(left_out, 'more run')} in the report"] if left_out else []
    return TextTable(
        title="At a glance, a mean rank's times",
        columns=("", *(one.label for one in found)),
        rows=tuple(row for row in rows if any(cell != units.UNKNOWN for cell in row[1:])),
        text_columns=1 + len(found),
        notes=(*more, *(f"next: {command}" for command in _next(runs))),
    )


def _next(runs: Sequence[RunReport]) -> list[str]:
    """The longest wait that is known, and where there is one side alone, what would make a comparison."""
    waiting = [run for run in runs if overview(run).late]
    commands = [open_at.of_worst_wait(run) for run in waiting[:1]]
    if len({run.side for run in runs}) == 1:
        commands.append("traceana capture --label NAME --backend torch|pynccl -- YOUR COMMAND")
    return [command for command in commands if command]


def _step(one: Overview) -> str:
    return units.duration(one.step.duration_ns) if one.step else units.UNKNOWN


def _exposed(one: Overview) -> str:
    if not one.times.comm_ns:
        return units.UNKNOWN
    mean = one.times.exposed_comm_ns / max(1, one.ranks)
    return f"{exposed_share(one.times)} of the window, {units.duration(mean)}"


def _largest(parts: tuple[Explained, ...]) -> str:
    """The two causes that cost most."""
    return ", ".join(f"{units.percent(part.share, 1)} {part.name}" for part in parts[:2]) or units.UNKNOWN


def _late(one: Overview) -> str:
    if one.late is None:
        return units.UNKNOWN
    times = f"last {units.count(one.late.times_last)} times"
    return f"{one.late.rank}: {times}, peers waited {units.duration(one.late.wait_caused_ns)} together"


def _costly(place: int) -> Callable[[Overview], str]:
    def cell(one: Overview) -> str:
        if place >= len(one.costly):
            return units.UNKNOWN
        found = one.costly[place]
        return f"{units.sized(found.op, found.message_bytes)}: {units.duration(found.exposed_ns)} exposed"

    return cell


_FACTS: tuple[tuple[str, Callable[[Overview], str]], ...] = (
    ("median step", _step),
    ("exposed", _exposed),
    ("which is", lambda one: _largest(one.exposed_is)),
    ("not covered because", lambda one: _largest(one.uncovered_by)),
    *((f"costs most, {place + 1}", _costly(place)) for place in range(MOST_COSTLY)),
    ("late rank", _late),
)
