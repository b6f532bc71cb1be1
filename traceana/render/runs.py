"""What identifies a run in every chart: its label and its place in the palette."""

from dataclasses import dataclass

from traceana.report import Report

RUN_COLOURS = 8
"""How many run colours report.css defines; later runs begin again, told apart by their label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMark:
    """A run's label and the number of its colour and marker."""

    label: str
    colour: int


def run_marks(report: Report) -> tuple[RunMark, ...]:
    """A mark per run, in the report's order."""
    return tuple(RunMark(label=run.label, colour=index % RUN_COLOURS) for index, run in enumerate(report.runs))


def marks_by_label(report: Report) -> dict[str, RunMark]:
    """The same, found by label or side: a side is marked as the first of its runs."""
    marks = list(zip(run_marks(report), report.runs, strict=True))
    sides = {run.side: RunMark(label=run.side, colour=mark.colour) for mark, run in reversed(marks)}
    return sides | {mark.label: mark for mark, _ in marks}


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, the middle left out: names often differ only at their ends."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[-tail:]}"
