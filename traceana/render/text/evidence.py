"""What reviewers of a performance change ask for, as one block: what ran on what, each run, the spread, a verdict."""

from collections.abc import Sequence
from statistics import mean, median

import msgspec

from traceana import units
from traceana.comparing.perf_changes import PerfSide
from traceana.comparing.perf_dumps import PerfComparison
from traceana.comparing.repeats import FEWEST_REPEATS
from traceana.comparing.sentence import METRIC_NAMES
from traceana.render.text.tables import TextTable
from traceana.report import Comparison, PerfDump, RunReport, StepComparison, StepTime

NOT_KNOWN = "not known"


class EvidenceSide(msgspec.Struct, frozen=True, kw_only=True):
    """One side in words; `values_ns` is one time a run, in the order of the runs."""

    label: str
    commit: str
    versions: str
    hardware: str
    settings: tuple[str, ...]
    values_ns: tuple[int, ...]
    peak_memory_bytes: int | None
    output: str


def table(a: EvidenceSide, b: EvidenceSide, measured: str, verdict: str) -> TextTable:
    """Both sides beside each other, and what else a reader must know."""
    rows = (
        ("commit", a.commit, b.commit),
        ("versions", a.versions, b.versions),
        ("GPUs", a.hardware, b.hardware),
        ("settings", "; ".join(a.settings), "; ".join(b.settings)),
        ("runs", str(len(a.values_ns)), str(len(b.values_ns))),
        (f"{measured}, each run", _each(a), _each(b)),
        (f"{measured}, mean", _mean(a), _mean(b)),
        ("spread of the runs", _spread(a), _spread(b)),
        ("peak memory", units.size(a.peak_memory_bytes), units.size(b.peak_memory_bytes)),
        ("output", a.output, b.output),
    )
    fewest = min(len(a.values_ns), len(b.values_ns))
    few = (f"{units.plural(fewest, 'run')} of a side: {FEWEST_REPEATS} are needed for a verdict",)
    return TextTable(
        title=f"Evidence: {b.label} against {a.label}",
        columns=("", a.label, b.label),
        rows=rows,
        text_columns=3,
        notes=(f"verdict: {verdict}", *(few if fewest < FEWEST_REPEATS else ())),
    )


def of_runs(comparisons: Sequence[Comparison], runs: Sequence[RunReport]) -> list[TextTable]:
    """One block a comparison of captured runs."""
    return [_of_runs(one, [run for run in runs if run.side in (one.baseline, one.candidate)]) for one in comparisons]


def of_perf_dumps(comparisons: Sequence[PerfComparison], sides: Sequence[PerfSide]) -> list[TextTable]:
    """One block a comparison of perf dumps, which know nothing of GPUs and versions."""
    by_label = {side.label: side for side in sides}
    return [
        table(
            _of_dumps(by_label[one.baseline]),
            _of_dumps(by_label[one.candidate]),
            "request",
            verdict_in_words(next((row for row in one.end_to_end if row.metric == "perf request"), None)),
        )
        for one in comparisons
    ]


def verdict_in_words(row: StepComparison | None) -> str:
    """ "faster, 1.10× (95 % interval 1.05–1.15×)", and why where it cannot be told."""
    if row is None:
        return f"{NOT_KNOWN}: the two sides have no time in common"
    interval = "" if row.ci_low is None else f" (95 % interval {units.ratio_range(row.ci_low, row.ci_high)})"
    reason = f"; {row.reason}" if row.reason else ""
    return f"{METRIC_NAMES.get(row.metric, row.name)} {row.verdict}, {units.ratio(row.speedup)}{interval}{reason}"


def _of_runs(one: Comparison, runs: Sequence[RunReport]) -> TextTable:
    row = next((row for row in one.end_to_end if row.metric != "exposed"), None)
    sides = [[run for run in runs if run.side == label] for label in (one.baseline, one.candidate)]
    metric = row.metric if row else "step"
    a, b = (_side(label, side, metric) for label, side in zip((one.baseline, one.candidate), sides, strict=True))
    found = table(a, b, METRIC_NAMES.get(metric, metric), verdict_in_words(row))
    reasons = tuple(f"not like for like: {reason}" for reason in one.reasons)
    return TextTable(
        title=found.title, columns=found.columns, rows=found.rows, text_columns=3, notes=(*found.notes, *reasons)
    )


def _side(label: str, runs: Sequence[RunReport], metric: str) -> EvidenceSide:
    dumps = [dump for run in runs for dump in run.perf_dumps]
    first = runs[0]
    return EvidenceSide(
        label=label,
        commit=_commits(dumps),
        versions=", ".join(f"{name} {version}" for name, version in first.versions) or NOT_KNOWN,
        hardware=_hardware(first),
        settings=_settings(first),
        values_ns=tuple(value for run in runs if (value := _value(run, metric)) is not None),
        peak_memory_bytes=_peak(dumps),
        output="not compared",
    )


def _of_dumps(side: PerfSide) -> EvidenceSide:
    return EvidenceSide(
        label=side.label,
        commit=_commits(side.dumps),
        versions=NOT_KNOWN,
        hardware=NOT_KNOWN,
        settings=tuple(dict.fromkeys(f"{name} {value}" for dump in side.dumps for name, value in dump.meta)),
        values_ns=tuple(dump.total_ns for dump in side.dumps),
        peak_memory_bytes=_peak(side.dumps),
        output="not compared",
    )


def _value(run: RunReport, metric: str) -> int | None:
    """The time of one run: the median of its steady steps or requests, or of its perf dumps."""
    if metric.startswith("perf"):
        times = [dump.total_ns for dump in run.perf_dumps]
        if metric == "perf step":
            times = [ns for dump in run.perf_dumps for ns in dump.denoise_steps_ns[1:]]
    else:
        executions: Sequence[StepTime] = run.requests if metric == "request" else run.steps
        times = [one.duration_ns for one in executions if one.steady]
    return round(median(times)) if times else None


def _settings(run: RunReport) -> tuple[str, ...]:
    setup = run.setup
    if setup is None:
        return (f"backend {run.backend}", "no run.json")
    found = [f"backend {setup.backend_asked or 'asis'}, seen {', '.join(setup.backend_seen) or 'none'}"]
    found += [f"{name}={value}" for name, value in dict([*setup.environment, *setup.nccl_set]).items()]
    return (*found, " ".join(setup.argv))


def _hardware(run: RunReport) -> str:
    return f"{units.plural(run.world_size, 'rank')}, {', '.join(run.gpus) or 'no GPU'}"


def _commits(dumps: Sequence[PerfDump]) -> str:
    found = dict.fromkeys(dump.commit for dump in dumps if dump.commit and dump.commit != "N/A")
    return ", ".join(found) or NOT_KNOWN


def _peak(dumps: Sequence[PerfDump]) -> int | None:
    peaks = [point.peak_allocated_bytes for dump in dumps for point in dump.memory]
    return max((one for one in peaks if one is not None), default=None)


def _each(side: EvidenceSide) -> str:
    return ", ".join(units.duration(ns) for ns in side.values_ns) or NOT_KNOWN


def _mean(side: EvidenceSide) -> str:
    return units.duration(mean(side.values_ns)) if side.values_ns else NOT_KNOWN


def _spread(side: EvidenceSide) -> str:
    """From the fastest to the slowest run, as a part of the mean."""
    if len(side.values_ns) < 2:
        return NOT_KNOWN
    return units.percent(max(side.values_ns) - min(side.values_ns), mean(side.values_ns))
