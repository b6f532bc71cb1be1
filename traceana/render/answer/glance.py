"""Sides at a glance, in words: a fact a row, a column a side."""

from collections.abc import Callable

import msgspec

from traceana import units
from traceana.render.answer.causes import Explained
from traceana.render.answer.figures import exposed_share, left_out
from traceana.render.answer.late import late_of
from traceana.render.answer.overview import MOST_COSTLY, Overview, overview
from traceana.render.answer.step_change import step_changes
from traceana.render.page.marks import runs_by_side
from traceana.report import Report

MOST_SIDES = 6
"""Columns that a terminal holds."""


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """Facts by their name; a row has a value for each of `labels`. `left_out` sides have no column."""

    labels: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    left_out: int


def glance(report: Report) -> Glance:
    """Step, exposed share and its causes, the operations that cost most, and the late rank; facts that any side has."""
    sides = list(runs_by_side(report).items())[:MOST_SIDES]
    found = [overview(runs) for _, runs in sides]
    late = [late_of(runs) for _, runs in sides]
    rows = [(name, tuple(value(one) for one in found)) for name, value in _FACTS]
    changes = step_changes(report)
    rows.insert(1, ("step's speed-up", tuple(changes.get(mark.label, units.UNKNOWN) for mark, _ in sides)))
    rows.append(("late rank", tuple(f"{one.rank}, {one.in_words}" if one else units.UNKNOWN for one in late)))
    rows.append(("late because", tuple(one.cause if one and one.cause else units.UNKNOWN for one in late)))
    return Glance(
        labels=tuple(_label(mark.label, len(runs)) for mark, runs in sides),
        rows=tuple((name, values) for name, values in rows if set(values) - {units.UNKNOWN}),
        left_out=len(runs_by_side(report)) - len(found),
    )


def _label(side: str, runs: int) -> str:
    return side if runs == 1 else f"{side}, {units.plural(runs, 'run')}"


def _step(one: Overview) -> str:
    return units.duration(one.step.duration_ns) if one.step else units.UNKNOWN


def _exposed(one: Overview) -> str:
    if not one.times.comm_ns:
        return units.UNKNOWN
    mean = one.times.exposed_comm_ns / max(1, one.ranks)
    beside = left_out(one.times)
    return f"{exposed_share(one.times)} of the window, {units.duration(mean)}{f' ({beside})' if beside else ''}"


def _largest(parts: tuple[Explained, ...]) -> str:
    """The two causes that cost most."""
    return ", ".join(f"{units.percent(part.share, 1)} {part.name}" for part in parts[:2]) or units.UNKNOWN


def _costly(place: int) -> Callable[[Overview], str]:
    def cell(one: Overview) -> str:
        if place >= len(one.costly):
            return units.UNKNOWN
        found = one.costly[place]
        return f"{units.sized(found.op, found.message_bytes)}: {units.duration(found.exposed_ns)} exposed"

    return cell


_FACTS: tuple[tuple[str, Callable[[Overview], str]], ...] = (
    ("typical step", _step),
    ("exposed", _exposed),
    ("which is", lambda one: _largest(one.exposed_is)),
    ("not covered because", lambda one: _largest(one.uncovered_by)),
    *((f"costs most, {place + 1}", _costly(place)) for place in range(MOST_COSTLY)),
)
