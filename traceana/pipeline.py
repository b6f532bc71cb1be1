"""From paths to a Report: measured ranks are joined here."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path

import msgspec
from msgspec.structs import replace

from traceana import __version__
from traceana.analyze.beside_bench import beside_bench
from traceana.analyze.capture_order import capture_order, window_of
from traceana.analyze.each_rank import EachRank
from traceana.analyze.measure import RankResult
from traceana.analyze.run import AnalyzedRun, analyze_run
from traceana.comparing.comparison import compare
from traceana.comparing.paired import paired_rows
from traceana.comparing.pairs import pairs
from traceana.comparing.sides import sides
from traceana.errors import TraceanaError
from traceana.measuring import measure_inputs, measured_or_parts
from traceana.pool import Progress, spread
from traceana.replay.helps import what_helps
from traceana.report import SCHEMA_VERSION, HtaSection, Report
from traceana.saved.inputs import inputs
from traceana.saved.parts import Measured
from traceana.settings import Settings
from traceana.trace.discover import RunFiles, named_together

_MANY_RANKS = 64
"""Of fewer, processes that join them start for longer than they save."""


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """The report, and the runs with their calls."""

    report: Report
    runs: tuple[AnalyzedRun, ...]


def analyze(paths: Sequence[Path], settings: Settings, progress: Progress) -> Analysis:
    """Analyze everything below `paths`. Raises TraceanaError where no rank of a run could be read."""
    return analyze_measured(measured_or_parts(paths, settings, progress), settings)


def analyze_measured(part: Measured, settings: Settings) -> Analysis:
    """Analyze what was measured. Raises TraceanaError as `analyze` does."""
    runs, passed_over = _joined(part, settings)
    return conclude(runs, settings.baseline, passed_over)


def read_runs(
    paths: Sequence[Path], settings: Settings, progress: Progress
) -> tuple[list[AnalyzedRun], tuple[str, ...]]:
    """The runs below `paths`, and which files were passed over. Raises TraceanaError as `analyze` does."""
    return _joined(measured_or_parts(paths, settings, progress), settings)


def _joined(part: Measured, settings: Settings) -> tuple[list[AnalyzedRun], tuple[str, ...]]:
    found = part.found
    read = [_join(files, part, settings) for files in found.runs]
    return in_order(found.runs, read, part.results), found.passed_over


def read_one(path: Path, workers: int, progress: Progress) -> tuple[AnalyzedRun, dict[int, RankResult]]:
    """The only run below `path`, with its ranks. Raises TraceanaError where there is another one, as `analyze` else."""
    seen = inputs([path], cache=False)
    found = seen.found
    if len(found.runs) != 1:
        labels = ", ".join(run.label for run in found.runs)
        raise TraceanaError(f"{path}: holds {len(found.runs)} runs ({labels}); name the folder of one of them")
    settings = Settings(workers=workers)
    part = measure_inputs(seen, settings, progress)
    (files,) = found.runs
    ranks = {file.rank: result for file in files.ranks if isinstance(result := part.results[file.path], RankResult)}
    return _join(files, part, settings), ranks


def conclude(runs: Sequence[AnalyzedRun], baseline: str | None, passed_over: tuple[str, ...] = ()) -> Analysis:
    """Compare the sides in pairs, or all with `baseline`. Raises TraceanaError where that names none."""
    paired = pairs(sides(runs), baseline)
    report = Report(
        schema_version=SCHEMA_VERSION,
        traceana_version=__version__,
        runs=tuple(run.report for run in runs),
        comparisons=tuple(compare(one, other) for one, other in paired),
        passed_over=passed_over,
    )
    return Analysis(report=report, runs=tuple(runs))


def in_order(
    found: Sequence[RunFiles], runs: Sequence[AnalyzedRun], results: Mapping[Path, RankResult | TraceanaError]
) -> list[AnalyzedRun]:
    """Runs whose order PATHS do not say in the order in which they were captured, where only their times tell."""
    ordered: list[AnalyzedRun] = []
    run_of = dict(zip((files.label for files in found), runs, strict=True))
    for together in named_together(found):
        if not all(files.manifest.setup and files.manifest.setup.started for files in together):
            places = capture_order([window_of(_read(files, results)) for files in together])
        else:
            places = list(range(len(together)))
        ordered += [run_of[together[place].label] for place in places]
    return ordered


def _read(files: RunFiles, results: Mapping[Path, RankResult | TraceanaError]) -> Iterator[RankResult]:
    found = (results[file.path] for file in files.ranks)
    return (result for result in found if not isinstance(result, TraceanaError))


def _join(files: RunFiles, part: Measured, settings: Settings) -> AnalyzedRun:
    outcomes = {file.rank: part.results[file.path] for file in files.ranks}
    failed = [str(outcome) for outcome in outcomes.values() if isinstance(outcome, TraceanaError)]
    paths = {file.rank: file.path for file in files.ranks if not isinstance(outcomes[file.rank], TraceanaError)}
    ranks = EachRank(paths, partial(_measured_rank, part.results))
    if not ranks:
        raise TraceanaError(f"{files.folder}: none of its traces could be read: {failed[0]}")
    dumps = [part.perf_dumps[path] for path in files.perf_dumps]
    with spread(settings.workers if len(ranks) >= _MANY_RANKS else 1) as over:
        run = analyze_run(files, ranks, failed, dumps, settings.edges, _hta(ranks) if settings.hta else None, over)
    bench = beside_bench(run.report, settings.benches) if settings.benches else None
    paired = part.paired[files.folder]
    helps, unknown = what_helps(run, EachRank(ranks, attrgetter("work")))
    report = replace(
        run.report,
        paired=paired_rows(paired.calls),
        bench=bench,
        coverage=replace(run.report.coverage, notes=(*run.report.coverage.notes, *paired.left_out)),
        what_if=helps,
        what_if_unknown=unknown,
    )
    return replace(run, report=report)


def _measured_rank(results: Mapping[Path, RankResult | TraceanaError], path: Path) -> RankResult:
    """Of a path that has a result."""
    result = results[path]
    assert not isinstance(result, TraceanaError)
    return result


def _hta(ranks: Mapping[int, RankResult]) -> HtaSection:
    # HTA takes seconds to import: only where it was asked for.
    from traceana.analyze.hta_section import hta_section

    rank = min(ranks)
    return hta_section(rank, ranks[rank].path)
