"""A bench in the terminal: a table as nccl-tests prints it, then what follows from it."""

from collections.abc import Iterator

from traceana import units
from traceana.render.text.tables import TextTable
from traceana.report.bench import BenchReport, BenchRow, BenchVerdict, Crossover, GuideCheck, Peak

_COLUMNS = (
    "operation",
    "size",
    "backend",
    "graph",
    "place",
    "p50",
    "p95",
    "p99",
    "algbw GB/s",
    "busbw GB/s",
    "of peak",
    "launch",
)


def bench_tables(report: BenchReport) -> list[TextTable]:
    """The measured rows, and below them verdicts, sizes of change, the guide, and what was not measured."""
    under = any(row.under_compute_p50_ns is not None for row in report.rows)
    default = any(row.default_stream_p50_ns is not None for row in report.rows)
    return [
        TextTable(
            title=title(report),
            columns=(
                *_COLUMNS,
                *(("default stream",) if default else ()),
                *(("beside compute", "compute slower") if under else ()),
            ),
            rows=tuple(_cells(row, report.peak, under=under, default=default) for row in report.rows),
            text_columns=5,
            notes=tuple(_notes(report)),
        )
    ]


def title(report: BenchReport) -> str:
    """The ranks and the machine in a line."""
    machine = "; ".join(f"{name} {value}" for name, value in report.machine)
    shape = f"; {report.shape}" if report.shape else ""
    return f"{units.plural(report.ranks, 'rank')}; {machine}{shape}"


def _cells(row: BenchRow, peak: Peak | None, *, under: bool, default: bool) -> tuple[str, ...]:
    return (
        row.op,
        units.size(row.message_bytes),
        row.backend,
        "yes" if row.graph else "no",
        "in" if row.in_place else "out",
        *(units.duration(ns) for ns in (row.p50_ns, row.p95_ns, row.p99_ns)),
        f"{row.algbw_gbps:.2f}",
        f"{row.busbw_gbps:.2f}",
        units.percent(row.busbw_gbps, peak.gbps if peak else 0),
        units.duration(row.launch_ns),
        *((units.duration(row.default_stream_p50_ns),) if default else ()),
        *((units.duration(row.under_compute_p50_ns), units.ratio(row.compute_slowdown)) if under else ()),
    )


def _notes(report: BenchReport) -> Iterator[str]:
    yield from (f"{name}: {detail}" for name, detail in report.backends)
    if report.peak:
        yield f"peak: {report.peak.link} {units.bandwidth(report.peak.gbps)} ({report.peak.source})"
    yield from map(verdict, report.verdicts)
    yield from map(crossover, report.crossovers)
    yield from map(guide, report.guide)
    yield from (
        f"not measured: {one.backend}{f' {one.op}' if one.op else ''}: {one.reason}" for one in report.not_measured
    )


def verdict(one: BenchVerdict) -> str:
    """Such as "all_reduce 1 MiB: torch is fastest, 1.20× of pynccl (1.10–1.30×)"."""
    found = f"{one.best} is fastest" if one.certain else f"cannot tell {', '.join(one.leaders)} apart"
    of = f"{units.ratio(one.speedup)} of {one.second} ({units.ratio_range(one.ci_low, one.ci_high)})"
    return f"{_place(one.op, one.message_bytes, one.graph)}: {found}, {of}"


def crossover(one: Crossover) -> str:
    """Such as "all_reduce: torch up to 16 KiB, pynccl from 64 KiB; equal at 30 KiB (25–40 KiB)"."""
    change = f"{one.smaller} up to {units.size(one.from_bytes)}, {one.larger} from {units.size(one.to_bytes)}"
    equal = f"equal at {units.size(one.at_bytes)} ({units.size_range(one.low_bytes, one.high_bytes)})"
    return f"{_place(one.op, None, one.graph)}: {change}; {equal}"


def guide(one: GuideCheck) -> str:
    """PyNccl's speed-up beside the guide's."""
    measured = f"{units.ratio(one.speedup)} ({units.ratio_range(one.ci_low, one.ci_high)})"
    expected = units.ratio_range(one.expected_low, one.expected_high)
    return (
        f"{_place(one.op, one.message_bytes, one.graph)}: pynccl over torch {measured}, the guide expects {expected}: "
        f"{one.verdict}"
    )


def _place(op: str, message_bytes: int | None, graph: bool) -> str:
    return units.sized(op, message_bytes) + (" in a graph" if graph else "")
