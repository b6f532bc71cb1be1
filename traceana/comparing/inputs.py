"""What `traceana compare` was given: runs (folders, traces, report.json) or sglang's perf dumps."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from traceana.analyze.run import AnalyzedRun
from traceana.comparing.perf_changes import PerfSide
from traceana.errors import TraceanaError
from traceana.trace.discover import REPEAT_IN_LABEL
from traceana.trace.perf_dump import find_perf_dump, read_perf_dump
from traceana.trace.remote import path_of

REPORT = "report.json"
_IS_REPORT = re.compile(rb'\s*\{\s*"schema_version"\s*:\s*\d+\s*,\s*"traceana_version"')


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """Paths by what they hold; `paths` are the runs' as they were named, a folder with a report as its report."""

    paths: tuple[Path, ...]
    traces: tuple[Path, ...]
    reports: tuple[Path, ...]
    perf_dumps: tuple[tuple[Path, ...], ...]
    """One entry a path that was named: a dump, or a folder of dumps."""


def sort_inputs(paths: Sequence[Path]) -> Inputs:
    """Raises TraceanaError where a path is missing, or perf dumps are mixed with runs."""
    runs, traces, reports, dumps = [], [], [], []
    for path in _once(paths):
        if found := _perf_dumps(path):
            dumps.append(found)
        elif report := _report(path):
            reports.append(report)
            runs.append(report)
        else:
            traces.append(path)
            runs.append(path)
    if dumps and (traces or reports):
        raise TraceanaError(
            f"{dumps[0][0]} is a perf dump and {(traces + reports)[0]} is none, or is cut off; compare perf dumps with "
            "perf dumps, runs with runs"
        )
    named = tuple(dict.fromkeys(runs))
    return Inputs(paths=named, traces=tuple(traces), reports=tuple(reports), perf_dumps=tuple(dumps))


def in_order(
    inputs: Inputs, read: Sequence[AnalyzedRun], saved: Mapping[Path, Sequence[AnalyzedRun]]
) -> list[AnalyzedRun]:
    """The runs in the order in which PATHs named them, so that the first one's side is the baseline."""
    by_path: dict[Path, list[AnalyzedRun]] = {path: list(saved.get(path, ())) for path in inputs.paths}
    for run in read:
        by_path[_path_of(run, inputs.traces)].append(run)
    return [run for path in inputs.paths for run in by_path[path]]


def _path_of(run: AnalyzedRun, paths: Sequence[Path]) -> Path:
    """The PATH that a run's folder lies below, else the first that lies below it: a file, or a part of the run."""
    folder = path_of(run.report.path).resolve()
    above = [path for path in paths if folder.is_relative_to(path.resolve())]
    below = [path for path in paths if path.resolve().is_relative_to(folder)]
    return [*above, *below, *paths][0]


def _once(paths: Sequence[Path]) -> list[Path]:
    """Each path once, whatever it is called: a run that is named twice is no repeat of itself."""
    named: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise TraceanaError(f"{path}: no such file or folder; name run folders, report.json files or perf dumps")
        named.setdefault(path.resolve(), path)
    return list(named.values())


def _perf_dumps(path: Path) -> tuple[Path, ...]:
    if path.is_dir() and any(entry.is_dir() for entry in path.iterdir()):
        return ()  # Run folders, with their dumps beside them.
    files = (path,) if path.is_file() else tuple(sorted(path.glob("*.json")))
    return files if files and all(find_perf_dump(file) for file in files) else ()


def _report(path: Path) -> Path | None:
    file = path / REPORT if path.is_dir() else path
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return file if _IS_REPORT.match(stream.read(200)) else None


def perf_sides(groups: Sequence[Sequence[Path]]) -> tuple[PerfSide, ...]:
    """A folder of dumps is a side; so are files `NAME.1.json`, `NAME.2.json`, …; any other file is one by itself."""
    sides: dict[tuple[Path, str], list[Path]] = {}
    for group in groups:
        for path in group:
            found = REPEAT_IN_LABEL.fullmatch(path.stem)
            label = path.parent.name if len(group) > 1 else found["side"] if found else path.stem
            sides.setdefault((path.parent, label), []).append(path)
    labels = [label for _, label in sides]
    return tuple(
        PerfSide(
            label=label if labels.count(label) == 1 else f"{label} ({folder})",
            dumps=tuple(read_perf_dump(path) for path in files),
        )
        for (folder, label), files in sides.items()
    )
