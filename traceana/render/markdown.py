"""The report's first screen as markdown, for a pull request: verdict, tables, fairness, and what is not known."""

import re
from collections.abc import Iterable, Sequence

from traceana import units
from traceana.compare.sentence import METRIC_NAMES
from traceana.render.comparison import basis
from traceana.render.headline import Figure, headline, worth
from traceana.render.unknowns import gaps
from traceana.report import Comparison, ComparisonRow, Report, StepComparison

_SPECIAL = re.compile(r"([\\`*\[\]<>|~#])")


def render(report: Report) -> str:
    """The summary, ending in a newline. Names are escaped, so that none can make markup of its own."""
    answer = headline(report)
    parts = [f"## {escape(answer.sentence)}"]
    if answer.second:
        parts.append(escape(answer.second))
    parts.append("\n".join(_figure(figure) for figure in answer.figures))
    parts += [part for comparison in report.comparisons for part in _comparison(comparison)]
    parts.append(_gaps(report))
    return "\n\n".join(part for part in parts if part) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """A markdown table of plain cells; all but the first `words` columns are aligned to the right."""
    rule = ["---" if index < words else "--:" for index in range(len(heads))]
    lines = [[escape(head) for head in heads], rule, *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escape(text: str) -> str:
    """Text that markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _figure(figure: Figure) -> str:
    detail = f" ({escape(figure.detail)})" if figure.detail else ""
    return f"- {escape(figure.question)} **{escape(figure.value)}** {escape(figure.caption)}{detail}"


def _comparison(comparison: Comparison) -> list[str]:
    sides = comparison.baseline, comparison.candidate
    heads = ("operation", "size", *sides, "speed-up", "95 % interval", "worth", "expected", "verdict")
    rows = [_row(row, comparison.worth_per) for row in comparison.rows]
    ends = ("end to end", "of", *sides, "speed-up", "95 % interval", "verdict")
    return [
        f"### {escape(comparison.candidate)} against {escape(comparison.baseline)}",
        table(heads, rows) if rows else "No operation is on both sides.",
        table(ends, [_end_to_end(row) for row in comparison.end_to_end], words=2) if comparison.end_to_end else "",
        _fairness(comparison),
    ]


def _row(row: ComparisonRow, worth_per: str) -> tuple[str, ...]:
    return (
        row.op,
        "all sizes" if row.message_bytes is None else units.size(row.message_bytes),
        *_times(row),
        worth(row.worth_ns, worth_per),
        units.ratio_range(row.expected_low, row.expected_high),
        _verdict(row),
    )


def _end_to_end(row: StepComparison) -> tuple[str, ...]:
    return (METRIC_NAMES[row.metric], row.name, *_times(row), _verdict(row))


def _times(row: ComparisonRow | StepComparison) -> tuple[str, ...]:
    return (
        units.duration(row.baseline_p50_ns),
        units.duration(row.candidate_p50_ns),
        units.ratio(row.speedup),
        units.ratio_range(row.ci_low, row.ci_high),
    )


def _verdict(row: ComparisonRow | StepComparison) -> str:
    return f"{row.verdict}: {row.reason}" if row.reason else row.verdict


def _fairness(comparison: Comparison) -> str:
    doubts = [f"Not like for like: {reason}." for reason in comparison.reasons]
    doubts += [f"Noisy: {reason}." for reason in comparison.noise]
    lines = [*(doubts or ["Like for like: nothing that traceana checks speaks against the comparison."])]
    return "\n".join(f"- {escape(line)}" for line in [*lines, f"Intervals: {basis(comparison)}"])


def _gaps(report: Report) -> str:
    found = gaps(report)
    if not found:
        return ""
    lines = [
        f"- {gap.name} ({'; '.join(escape(f'{case.run.label}: {case.detail}') for case in gap.cases)}). "
        f"{gap.consequence}"
        for gap in found
    ]
    return "\n".join(["### What this cannot know", "", *lines])
