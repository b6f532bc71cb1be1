"""`--fail-over`: which differences are both larger than allowed and certain."""

import re
from collections.abc import Sequence

from traceana import units
from traceana.comparing.perf_dumps import PerfComparison
from traceana.comparing.sentence import row_name
from traceana.errors import TraceanaError
from traceana.report import Comparison, ComparisonRow, StepComparison

DEFAULT_METRICS = ("request", "step")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%?")
# A perf dump's request and step answer to the same names as a trace's.
_NAMES = {"perf request": "request", "perf step": "step"}


def parse_percent(text: str) -> float:
    """ "5%" or "5" to 0.05. Raises TraceanaError for anything else."""
    found = _PERCENT.fullmatch(text.strip())
    if not found:
        raise TraceanaError(f"--fail-over {text}: is no percentage; write for example 5%")
    return float(found[1]) / 100


def failures(
    comparisons: Sequence[Comparison] | Sequence[PerfComparison], limit: float, metrics: Sequence[str]
) -> list[str]:
    """One sentence for each slowdown of a metric beyond `limit` with the verdict "slower".

    Metrics are request, step, exposed, an operation or a stage; request and step where none is named. Raises
    TraceanaError for one that no comparison has.
    """
    measured = [(one, _metric(row), row) for one in comparisons for row in _rows(one)]
    known = {name for _, name, _ in measured}
    for metric in metrics:
        if metric not in known:
            raise TraceanaError(f"--metric {metric}: not compared here; there are {', '.join(sorted(known))}")
    return [
        f"{one.candidate}: {_name(one, row)} takes {units.percent(1 / row.speedup - 1, 1)} longer"
        for one, name, row in measured
        if name in (metrics or DEFAULT_METRICS) and row.verdict == "slower" and 1 / row.speedup - 1 > limit
    ]


def undecided(comparisons: Sequence[Comparison] | Sequence[PerfComparison], metrics: Sequence[str]) -> list[str]:
    """One sentence for each metric of which the runs cannot tell, so that a pass is not taken for a proof."""
    return [
        f"{one.candidate}: {_name(one, row)}: cannot tell, {row.reason}"
        for one in comparisons
        for row in _rows(one)
        if _metric(row) in (metrics or DEFAULT_METRICS) and row.verdict == "cannot tell"
    ]


def _rows(comparison: Comparison | PerfComparison) -> tuple[ComparisonRow | StepComparison, ...]:
    if isinstance(comparison, Comparison):
        return (*comparison.end_to_end, *comparison.rows)
    return (*comparison.end_to_end, *comparison.stage_tests)


def _metric(row: ComparisonRow | StepComparison) -> str:
    if isinstance(row, ComparisonRow):
        return row.op
    return row.name if row.metric == "stage" else _NAMES.get(row.metric, row.metric)


def _name(comparison: Comparison | PerfComparison, row: ComparisonRow | StepComparison) -> str:
    if isinstance(comparison, Comparison) and isinstance(row, ComparisonRow):
        return row_name(comparison, row)
    return _metric(row)
