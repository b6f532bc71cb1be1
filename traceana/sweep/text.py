"""A sweep in the terminal and as Markdown."""

import math
import re

from traceana import units
from traceana.render.text.tables import TextTable
from traceana.sweep.report import Cause, Effect, Searched, SweepCell, SweepReport, Verdict


def tables(report: SweepReport) -> list[TextTable]:
    """The answer, the cells by place, what axes were worth, what was expected, and what failed."""
    found = [_answer(report), _cells(report), *([_search(report.search)] if report.search else [_effects(report)])]
    found += [_expected(report), _causes(report), _failed(report)]
    return [table for table in found if table.rows or table.notes]


def winning_lines(report: SweepReport) -> tuple[str, ...]:
    """The winner's command as it would be typed."""
    return next((cell.shell for cell in report.cells if cell.label == report.winner), ())


def time_text(cell: SweepCell) -> str:
    """The time and its interval: "1.20 s (1.18 s to 1.22 s)"."""
    interval = interval_text(cell)
    return f"{units.duration(cell.time_ns)} ({interval})" if interval else units.duration(cell.time_ns)


def interval_text(cell: SweepCell) -> str:
    """The interval of the cell's own time: "1.18 s to 1.22 s", empty where it is not known."""
    return "" if cell.low_ns is None else f"{units.duration(cell.low_ns)} to {units.duration(cell.high_ns)}"


def shown(label: str) -> str:
    """A cell's label as a page shows it: a variable is known by its capitals."""
    return re.sub(r"(^|\s)env\.", r"\1", label)


def place_text(cell: SweepCell) -> str:
    """ "1", and "1 =" where it is tied with the fastest."""
    return "–" if cell.place is None else f"{cell.place} =" if cell.tied and cell.place > 1 else str(cell.place)


def efficiency_text(cell: SweepCell) -> str:
    """ "87 % (85 to 89 %)"."""
    its = cell.scaling
    if its is None:
        return units.UNKNOWN
    text = f"{100 * its.efficiency:.0f}{units.NO_BREAK_SPACE}%"
    if its.ci_low is None or its.ci_high is None:
        return text
    return f"{text} ({100 * its.ci_low:.0f} to {100 * its.ci_high:.0f}{units.NO_BREAK_SPACE}%)"


def parity_text(cell: SweepCell) -> str:
    """The status and, where it is not plain, what was found."""
    if cell.parity is None:
        return units.UNKNOWN
    return cell.parity.status if cell.parity.status == "same" else f"{cell.parity.status}: {cell.parity.detail}"


def verdict_cells(its: Verdict | None) -> tuple[str, str, str]:
    """Verdict, speed-up and interval; a baseline has none."""
    if its is None:
        return "baseline", units.UNKNOWN, units.UNKNOWN
    return its.verdict, units.ratio(its.speedup), units.ratio_range(its.ci_low, its.ci_high)


def shares(cause: Cause) -> tuple[tuple[str, int], ...]:
    """The parts of the whole by name, in the order in which they are drawn."""
    return (
        ("compute", cause.compute_ns),
        ("exposed", cause.exposed_ns),
        ("memory", cause.other_ns),
        ("idle", cause.idle_ns),
    )


def gain_text(low: float | None, high: float | None) -> str:
    """ "5 to 15 %"."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return units.UNKNOWN
    return f"{100 * low:.3g} to {100 * high:.3g}{units.NO_BREAK_SPACE}%"


def effect_name(effect: Effect) -> str:
    """ "size: 2 over 1"."""
    return f"{effect.axis}: {effect.choice or 'none'} over {effect.over or 'none'}"


def _answer(report: SweepReport) -> TextTable:
    notes = [report.sentence, f"not finished: {report.unfinished}" if report.unfinished else ""]
    lines = winning_lines(report)
    return TextTable(
        title=f"{report.name}: {report.metric_title}, {units.plural(report.repeats, 'repeat')} of each cell",
        columns=(),
        rows=(),
        notes=(*(note for note in notes if note), *lines),
    )


def _cells(report: SweepReport) -> TextTable:
    scaled, made = any(cell.scaling for cell in report.cells), any(cell.parity for cell in report.cells)
    head = ["place", "cell", "verdict", "speed-up", "95 % interval", "time (95 % interval)", "runs", "GPU time"]
    rows = []
    for cell in report.cells:
        if cell.time_ns is None:
            continue
        row = [place_text(cell), cell.label, *verdict_cells(cell.against_baseline), time_text(cell)]
        row += [str(len(cell.values_ns) + cell.warm_up_counts), units.duration(cell.gpu_time_ns)]
        row += [efficiency_text(cell)] if scaled else []
        rows.append((*row, parity_text(cell)) if made else tuple(row))
    return TextTable(
        title="Cells, the fastest first",
        columns=(*head, *(["scaling"] if scaled else []), *(["output"] if made else [])),
        rows=tuple(rows),
        text_columns=3,
        notes=notes(report),
    )


def notes(report: SweepReport) -> tuple[str, ...]:
    """What the cells' table needs beside it: its baseline, what was left out, and why verdicts are what they are."""
    found = [f"against the baseline {report.baseline}; = cannot be told from the fastest"]
    best = [cell.label for cell in report.cells if cell.pareto]
    if len({cell.gpus for cell in report.cells}) > 1 and best:
        found.append(f"no cell is better both in time and in GPU time than: {', '.join(best)}")
    left_out = sum(cell.warm_up_ns is not None and not cell.warm_up_counts for cell in report.cells)
    if left_out:
        found.append(f"the first run of {units.plural(left_out, 'cell')} warmed up and does not count")
    above = [cell.label for cell in report.cells if cell.scaling and (cell.scaling.ci_low or 0) > 1]
    if above:
        found.append(f"more GPUs alone give no scaling above 100 %, something else differs too: {', '.join(above)}")
    undecided = [
        f"{cell.label}: {cell.against_baseline.reason}"
        for cell in report.cells
        if cell.against_baseline and cell.against_baseline.reason
    ]
    mismatched = [f"{cell.label}: {cell.cause.mismatch}" for cell in report.cells if cell.cause and cell.cause.mismatch]
    return (*found, *undecided, *mismatched)


def _effects(report: SweepReport) -> TextTable:
    return TextTable(
        title="What each axis was worth",
        columns=("axis", "verdict", "speed-up", "95 % interval", "of single pairs", "pairs"),
        rows=tuple(
            (
                effect_name(one),
                *verdict_cells(one.verdict),
                units.ratio_range(one.least, one.most),
                str(one.pairs),
            )
            for one in report.effects
        ),
        text_columns=2,
        notes=("means over pairs of cells that differ in nothing else",) if report.effects else (),
    )


def _search(search: Searched) -> TextTable:
    return TextTable(
        title=f"The search: {search.tried} of {units.plural(search.settings, 'setting')} ran",
        columns=("round", "kept, the fastest first", "of"),
        rows=tuple(
            (str(number), ", ".join(one.kept), str(len(one.ran))) for number, one in enumerate(search.rounds, start=1)
        ),
        text_columns=2,
        notes=search_notes(search),
    )


def search_notes(search: Searched) -> tuple[str, ...]:
    """What no setting can gain more than, and what was never run."""
    ceiling = (
        (f"exposed communication is {units.percent(search.ceiling, 1)} of the time: no setting can gain more",)
        if search.ceiling is not None
        else ()
    )
    return (*ceiling, *(f"not run: {text}" for text in search.left_out))


def _expected(report: SweepReport) -> TextTable:
    return TextTable(
        title="Expected and measured gains",
        columns=("cell", "over", "verdict", "expected", "measured", "95 % interval"),
        rows=tuple(
            (
                one.cell,
                one.over,
                one.verdict,
                gain_text(one.low, one.high),
                f"{100 * one.measured:.1f}{units.NO_BREAK_SPACE}%",
                gain_text(one.ci_low, one.ci_high),
            )
            for one in report.expected
        ),
        text_columns=3,
    )


def _causes(report: SweepReport) -> TextTable:
    return TextTable(
        title="Where the traced run's time goes, a mean rank",
        columns=("cell", "of a", "most exposed", "exposed is", "whole", "compute", "exposed", "other", "idle"),
        rows=tuple(
            (
                cell.label,
                cell.cause.of,
                cell.cause.costly or units.UNKNOWN,
                cell.cause.exposed_is[0][0] if cell.cause.exposed_is else units.UNKNOWN,
                units.duration(cell.cause.whole_ns),
                *(units.percent(ns, cell.cause.whole_ns) for _, ns in shares(cell.cause)),
            )
            for cell in report.cells
            if cell.cause
        ),
        text_columns=4,
    )


def _failed(report: SweepReport) -> TextTable:
    failed = [cell for cell in report.cells if cell.failure]
    return TextTable(
        title="Failed twice",
        columns=("cell", "why"),
        rows=tuple((cell.label, cell.failure or "") for cell in failed),
        text_columns=2,
        notes=tuple(f"{cell.label}: {line}" for cell in failed for line in cell.last_lines[-5:]),
    )
