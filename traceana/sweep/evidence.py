"""A sweep's evidence for a pull request: its winner, or each cell, beside the baseline."""

from traceana import units
from traceana.render.text.evidence import NOT_KNOWN, EvidenceSide, table
from traceana.render.text.tables import TextTable
from traceana.sweep.report import SweepCell, SweepReport


def blocks(report: SweepReport) -> list[TextTable]:
    """The winner against the baseline; where the baseline itself comes first, the next cell against it."""
    times = [cell for cell in report.cells if cell.time_ns]
    baseline = next((cell for cell in times if cell.label == report.baseline), None)
    others = [cell for cell in times if cell.label != report.baseline]
    chosen = next((cell for cell in others if cell.label == report.winner), None) or next(iter(others), None)
    if baseline is None or chosen is None:
        return []
    sides = (_side(baseline, report), _side(chosen, report))
    return [table(*sides, report.metric_title, _verdict(chosen))]


def _side(cell: SweepCell, report: SweepReport) -> EvidenceSide:
    return EvidenceSide(
        label=cell.label,
        commit=", ".join(cell.commits) or NOT_KNOWN,
        versions=", ".join(f"{name} {version}" for name, version in report.versions) or NOT_KNOWN,
        hardware=", ".join(report.hardware) or NOT_KNOWN,
        settings=(*(f"{name}={value}" for name, value in report.environment), *cell.shell),
        values_ns=cell.values_ns,
        peak_memory_bytes=cell.peak_memory_bytes,
        output="the baseline's" if cell.label == report.baseline else _output(cell),
    )


def _output(cell: SweepCell) -> str:
    return f"{cell.parity.status}: {cell.parity.detail}" if cell.parity else "not compared"


def _verdict(cell: SweepCell) -> str:
    its = cell.against_baseline
    if its is None:
        return NOT_KNOWN
    interval = units.ratio_range(its.ci_low, its.ci_high)
    reason = f"; {its.reason}" if its.reason else ""
    return f"{its.verdict}, {units.ratio(its.speedup)} (95 % interval {interval}){reason}"
