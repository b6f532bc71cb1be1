"""What identifies a run in every chart: its label and, by its side, its place in the palette."""

import msgspec
from msgspec.structs import replace

from traceana.report import Report, RunReport

RUN_COLOURS = 8
"""How many colours and markers report.css defines; later sides begin again, told apart by their label."""


class RunMark(msgspec.Struct, frozen=True, kw_only=True):
    """A label and the number of its colour and marker, which all runs of a side share."""

    label: str
    colour: int


def baseline_first(report: Report) -> Report:
    """The same report, its runs side by side as they are drawn: the baseline's first, repeats in their order."""
    order = {side: index for index, side in enumerate(side_marks(report))}
    return replace(report, runs=tuple(sorted(report.runs, key=lambda run: (order[run.side], run.repeat or 0))))


def side_marks(report: Report) -> dict[str, RunMark]:
    """A mark per side by its name: each baseline before its candidates, the others in the report's order."""
    baselines = dict.fromkeys(comparison.baseline for comparison in report.comparisons)
    pairs = [
        side
        for baseline in baselines
        for side in (baseline, *(one.candidate for one in report.comparisons if one.baseline == baseline))
    ]
    sides = dict.fromkeys([*pairs, *(run.side for run in report.runs)])
    return {side: RunMark(label=side, colour=index % RUN_COLOURS) for index, side in enumerate(sides)}


def marked_runs(report: Report) -> tuple[tuple[RunMark, RunReport], ...]:
    """Every run with its mark, in the report's order."""
    sides = side_marks(report)
    return tuple((RunMark(label=run.label, colour=sides[run.side].colour), run) for run in report.runs)


def runs_by_side(report: Report) -> dict[RunMark, list[RunReport]]:
    """Every side's mark with its runs, the baseline first."""
    return {mark: [run for run in report.runs if run.side == side] for side, mark in side_marks(report).items()}


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, the middle left out: names often differ only at their ends."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[-tail:]}"
