"""The report itself."""

import msgspec

from traceana.report.comparison import Comparison
from traceana.report.runs import RunReport


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `analyze` found. `passed_over` names files that are no traces."""

    schema_version: int
    traceana_version: str
    runs: tuple[RunReport, ...]
    comparisons: tuple[Comparison, ...]
    passed_over: tuple[str, ...]
