"""A comparison as tables of text, for the terminal and Markdown."""

from collections.abc import Callable, Sequence

import msgspec

from traceana import units
from traceana.comparing.perf_changes import Change
from traceana.comparing.perf_dumps import PerfComparison
from traceana.comparing.sentence import METRIC_NAMES, row_name
from traceana.render.page import quotient
from traceana.render.page.basis import common_basis
from traceana.render.text.tables import TextTable
from traceana.report import Comparison, ComparisonRow, Distribution, StepComparison
from traceana.trace.perf_dump import DENOISING_LOOP

LIKE_FOR_LIKE = "like for like: same ranks, GPUs, versions and calls"


def of_runs(comparisons: Sequence[Comparison]) -> list[TextTable]:
    """The verdict, end to end, and the operations by what they are worth."""
    return [table for comparison in comparisons for table in _of_runs(comparison)]


def _of_runs(comparison: Comparison) -> list[TextTable]:
    a, b = comparison.baseline, comparison.candidate
    notes = (
        comparison.sentence,
        *([f"not like for like: {reason}" for reason in comparison.reasons] or [LIKE_FOR_LIKE]),
        *(f"noise: {text}" for text in comparison.noise),
    )
    columns = _columns(comparison)
    operations = TextTable(
        title="Operations, by exposed time saved",
        columns=tuple(column.head for column in columns),
        rows=tuple(tuple(column.cell(row) for column in columns) for row in comparison.rows),
        text_columns=sum(column.is_text for column in columns),
        notes=(
            *_definitions(comparison.rows),
            *_reasons(comparison),
            *(f"only in {a}: {name}" for name in comparison.only_baseline),
            *(f"only in {b}: {name}" for name in comparison.only_candidate),
        ),
    )
    return [
        TextTable(title=f"{b} against {a}", columns=(), rows=(), notes=notes),
        _end_to_end("End to end", a, b, comparison.end_to_end),
        operations,
    ]


def _reasons(comparison: Comparison) -> list[str]:
    """Why rows have no verdict, and why none is put on their worth."""
    named = [(row_name(comparison, row), row) for row in comparison.rows]
    undecided = [f"{name}: {row.reason}" for name, row in named if row.reason]
    return undecided + [f"{name}: worth not known, {row.worth_reason}" for name, row in named if row.worth_reason]


class _Column(msgspec.Struct, frozen=True, kw_only=True):
    head: str
    cell: Callable[[ComparisonRow], str]
    is_text: bool = False


def _columns(comparison: Comparison) -> list[_Column]:
    """Those that say something of these rows: a basis only where rows differ in it, expectations where there are."""
    a, b = comparison.baseline, comparison.candidate
    basis = common_basis(row.basis for row in comparison.rows)
    of = f" {basis}" if basis else ""
    bases = [] if basis else [_Column(head="basis", cell=lambda row: row.basis, is_text=True)]
    expected = _Column(head="expected", cell=lambda row: units.ratio_range(row.expected_low, row.expected_high))
    return [
        _Column(head="operation", cell=lambda row: row.op, is_text=True),
        _Column(head="size", cell=_size, is_text=True),
        *([_Column(head="ranks", cell=_ranks, is_text=True)] if comparison.several_groups else []),
        _Column(head="verdict", cell=lambda row: row.verdict, is_text=True),
        *bases,
        _Column(head=f"{a}{of} p50", cell=lambda row: units.duration(row.baseline_p50_ns)),
        _Column(head=f"{b}{of} p50", cell=lambda row: units.duration(row.candidate_p50_ns)),
        _Column(head="speed-up", cell=lambda row: units.ratio(row.speedup)),
        _Column(head="95 % interval", cell=lambda row: units.ratio_range(row.ci_low, row.ci_high)),
        *([expected] if any(row.expected_low is not None for row in comparison.rows) else []),
        _Column(head=f"saved a {comparison.worth_per}", cell=_saved),
    ]


def _size(row: ComparisonRow) -> str:
    return "all" if row.message_bytes is None else units.size(row.message_bytes)


def _ranks(row: ComparisonRow) -> str:
    return "all" if row.group_size is None else str(row.group_size)


def _saved(row: ComparisonRow) -> str:
    return "not known" if row.worth_ns is None else units.duration(row.worth_ns)


def _definitions(rows: Sequence[ComparisonRow | StepComparison]) -> tuple[str, ...]:
    """What speed-ups are of, where a reader who divides the two times would find another number."""
    found = {quotient.definition(row.speedup, row.baseline_p50_ns, row.candidate_p50_ns) for row in rows} - {""}
    return tuple(f"some speed-ups are {definition}" for definition in sorted(found))


def _end_to_end(title: str, a: str, b: str, rows: Sequence[StepComparison]) -> TextTable:
    return TextTable(
        title=title,
        columns=("time", "verdict", f"{a} p50", f"{b} p50", "speed-up", "95 % interval"),
        rows=tuple(
            (
                METRIC_NAMES.get(row.metric, row.name),
                row.verdict,
                units.duration(row.baseline_p50_ns),
                units.duration(row.candidate_p50_ns),
                units.ratio(row.speedup),
                units.ratio_range(row.ci_low, row.ci_high),
            )
            for row in rows
        ),
        text_columns=2,
        notes=(
            *_definitions(rows),
            *(f"{METRIC_NAMES.get(row.metric, row.name)}: {row.reason}" for row in rows if row.reason),
            *(() if rows else ("neither steps nor requests are marked on both sides",)),
        ),
    )


def of_perf_dumps(comparisons: Sequence[PerfComparison]) -> list[TextTable]:
    """What compare_perf.py prints, then steps, memory and intervals."""
    return [table for comparison in comparisons for table in _of_perf_dumps(comparison)]


def _of_perf_dumps(found: PerfComparison) -> list[TextTable]:
    a, b, request = found.baseline, found.candidate, found.request
    throughputs = (f"{found.baseline_throughput:.2f} req/s", f"{found.candidate_throughput:.2f} req/s")
    summary = TextTable(
        title=f"{b} against {a}",
        columns=("", "status", a, b, "change", "change %"),
        rows=(("end-to-end latency", *_change(request)), ("throughput", "", *throughputs, "", "")),
        text_columns=2,
        notes=tuple(f"not like for like: {reason}" for reason in found.reasons),
    )
    stages = TextTable(
        title="Stages",
        columns=("stage", "status", a, b, "change", "change %"),
        rows=tuple((_stage_name(stage), *_change(stage)) for stage in found.stages),
        text_columns=2,
        notes=("better or worse: by more than 10 % and more than 120 ms; end to end by more than 2 %",),
    )
    tested = (*found.end_to_end, *found.stage_tests)
    tables = [summary, stages, _end_to_end("How sure", a, b, tested), _steps(found), _memory(found)]
    commits = (f"{a}: {found.baseline_commit}", f"{b}: {found.candidate_commit}")
    return [*(table for table in tables if table.rows), TextTable(title="Commits", columns=(), rows=(), notes=commits)]


def _change(change: Change) -> tuple[str, ...]:
    percent = "–" if change.relative is None else f"{100 * change.relative:+.1f} %"
    times = (_milliseconds(change.baseline_ns), _milliseconds(change.candidate_ns))
    return (change.status, *times, f"{change.ns / 1e6:+.2f} ms", percent)


def _milliseconds(ns: int) -> str:
    """As compare_perf.py writes it, so that the two can be read side by side."""
    return f"{ns / 1e6:.2f} ms"


def _stage_name(stage: Change) -> str:
    if stage.name != DENOISING_LOOP:
        return stage.name
    a, b = stage.baseline_count, stage.candidate_count
    return f"{stage.name} ({b} steps)" if a == b else f"{stage.name} ({a} → {b} steps)"


def _steps(found: PerfComparison) -> TextTable:
    sides = ((found.baseline, found.baseline_steps), (found.candidate, found.candidate_steps))
    return TextTable(
        title="Denoising steps, without the first",
        columns=("side", "min", "p50", "p95", "p99", "max"),
        rows=tuple((label, *_percentiles(steps)) for label, steps in sides if steps),
    )


def _percentiles(steps: Distribution) -> tuple[str, ...]:
    return tuple(_milliseconds(ns) for ns in (steps.min, steps.p50, steps.p95, steps.p99, steps.max))


def _memory(found: PerfComparison) -> TextTable:
    a, b = found.baseline, found.candidate
    return TextTable(
        title="Memory at its peak",
        columns=("checkpoint", f"{a} allocated", f"{b} allocated", f"{a} reserved", f"{b} reserved"),
        rows=tuple(
            (
                point.name,
                units.size(point.baseline_peak_bytes),
                units.size(point.candidate_peak_bytes),
                units.size(point.baseline_reserved_bytes),
                units.size(point.candidate_reserved_bytes),
            )
            for point in found.memory
        ),
    )
