"""The report itself."""

from dataclasses import dataclass

from traceana.report.comparison import Comparison
from traceana.report.runs import RunReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that `analyze` found. `passed_over` names files that are no traces."""

    schema_version: int
    traceana_version: str
    runs: tuple[RunReport, ...]
    comparisons: tuple[Comparison, ...]
    passed_over: tuple[str, ...]
