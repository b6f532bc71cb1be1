"""A run's calls beside a bench, in the terminal."""

from traceana.analyze.beside_bench import in_words
from traceana.render.text.tables import TextTable
from traceana.report import BesideBench, Report

_MOST = 8
"""Lines a run: the calls that take longest come first, and the report has all."""


def beside_bench_tables(report: Report) -> list[TextTable]:
    """One a run that has a bench beside it."""
    return [
        TextTable(title=f"{run.label} beside the bench", columns=(), rows=(), notes=_lines(run.bench))
        for run in report.runs
        if run.bench
    ]


def _lines(bench: BesideBench) -> tuple[str, ...]:
    missing = [
        f"{calls.op} of {calls.message_bytes} bytes, {calls.reason}" + (f": {calls.command}" if calls.command else "")
        for calls in bench.unbenched
    ]
    parts = ([*map(in_words, bench.benched)], missing)
    lines = list(bench.notes)
    for part in parts:
        lines += part[:_MOST]
        lines += [f"{len(part) - _MOST} more in the report"] if len(part) > _MOST else []
    return tuple(lines)
