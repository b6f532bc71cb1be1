"""From paths to a Report: ranks are measured in a pool, one task a file, and joined here."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from traceana import __version__
from traceana.analyze.capture_order import capture_order, window_of
from traceana.analyze.guide import EDGES
from traceana.analyze.measure import RankResult, measure_rank
from traceana.analyze.run import AnalyzedRun, analyze_run
from traceana.compare.comparison import compare
from traceana.compare.paired import paired_rows
from traceana.compare.pairs import pairs
from traceana.compare.sides import sides
from traceana.errors import TraceanaError
from traceana.kernels import KernelPattern
from traceana.report import SCHEMA_VERSION, HtaSection, Report
from traceana.trace.discover import Discovery, RunFiles, discover, named_together
from traceana.trace.paired import read_paired_calls

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int, str], None]
"""Called with files done, files in all, and the file that was done last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to analyze. `baseline` is a run's label, `workers` 0 means one a core, `edges` are bucket edges in bytes."""

    baseline: str | None = None
    workers: int = 0
    edges: tuple[int, ...] = EDGES
    own_patterns: tuple[KernelPattern, ...] = ()
    hta: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """The report, and the runs with their calls."""

    report: Report
    runs: tuple[AnalyzedRun, ...]


def analyze(
    paths: Sequence[Path], settings: Settings, progress: Progress, meanwhile: Callable[[], None] = lambda: None
) -> Analysis:
    """Analyze everything below `paths`; `meanwhile` runs here while other processes read.

    Raises TraceanaError where no rank of a run could be read.
    """
    runs, passed_over = read_runs(paths, settings, progress, meanwhile)
    return conclude(runs, settings.baseline, passed_over)


def read_runs(
    paths: Sequence[Path], settings: Settings, progress: Progress, meanwhile: Callable[[], None] = lambda: None
) -> tuple[list[AnalyzedRun], tuple[str, ...]]:
    """The runs below `paths`, and which files were passed over. Raises TraceanaError as `analyze` does."""
    found = discover(paths)
    _check_baseline(found, settings.baseline)
    results = _measure(found, settings, progress, meanwhile)
    read = [_join(files, results, settings) for files in found.runs]
    return in_order(found.runs, read, results), found.passed_over


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


def _read(files: RunFiles, results: Mapping[Path, RankResult | TraceanaError]) -> list[RankResult]:
    found = (results[file.path] for file in files.ranks)
    return [result for result in found if not isinstance(result, TraceanaError)]


def _check_baseline(found: Discovery, baseline: str | None) -> None:
    labels = list(dict.fromkeys(run.side for run in found.runs))
    if baseline is not None and baseline not in [*labels, *(run.label for run in found.runs)]:
        raise TraceanaError(f"--baseline {baseline}: no such run; the runs are {', '.join(labels)}")


def _measure(
    found: Discovery, settings: Settings, progress: Progress, meanwhile: Callable[[], None]
) -> dict[Path, RankResult | TraceanaError]:
    files = [file.path for run in found.runs for file in run.ranks]
    measure = partial(measure_rank, own_patterns=settings.own_patterns)
    results = each(measure, files, settings.workers, progress, meanwhile=meanwhile)
    return dict(zip(files, results, strict=True))


def each(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    progress: Progress,
    name: Callable[[Item], object] = lambda item: item,
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Result | TraceanaError]:
    """Results of a top-level function, called in a pool on every item; a TraceanaError takes its result's place."""
    with _executor(min(workers or os.cpu_count() or 1, len(items))) as executor:
        tasks: dict[Future[Result], Item] = {executor.submit(function, item): item for item in items}
        meanwhile()
        for done, task in enumerate(as_completed(tasks), start=1):
            progress(done, len(items), str(name(tasks[task])))
        results: list[Result | TraceanaError] = []
        for task in tasks:
            outcome = _result(task)
            results.append(outcome)
        return results


def _result(task: "Future[Result]") -> Result | TraceanaError:
    try:
        return task.result()
    except TraceanaError as error:
        return error


@contextmanager
def _executor(workers: int) -> Iterator[Executor]:
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            yield pool
    else:
        yield _InProcess()


class _InProcess(Executor):
    """Runs each task when it is submitted: a pool costs more than it saves on one file."""

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        future: Future[object] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except TraceanaError as error:
            future.set_exception(error)
        return future


def _join(files: RunFiles, results: dict[Path, RankResult | TraceanaError], settings: Settings) -> AnalyzedRun:
    ranks: dict[int, RankResult] = {}
    failed: list[str] = []
    for file in files.ranks:
        result = results[file.path]
        if isinstance(result, TraceanaError):
            failed.append(str(result))
        else:
            ranks[file.rank] = result
    if not ranks:
        raise TraceanaError(f"{files.folder}: none of its traces could be read: {failed[0]}")
    run = analyze_run(files, ranks, failed, settings.edges, _hta(ranks) if settings.hta else None)
    return replace(run, report=replace(run.report, paired=paired_rows(read_paired_calls(files.folder))))


def _hta(ranks: dict[int, RankResult]) -> HtaSection:
    # HTA takes seconds to import: only where it was asked for.
    from traceana.analyze.hta_section import hta_section

    rank = min(ranks)
    return hta_section(rank, ranks[rank].path)
