"""Which runs and ranks a user's PATHs hold.

A folder with traces in it is a run, wherever it lies below a PATH; files named one by one are runs by their folder.
Repeats of one setting form a side: runs in one folder whose run.json gives one label and counts `repeat`, or whose
labels are `NAME.1`, `NAME.2`, … without a gap; a NAME that ends in a digit is a version, not a repeat.
A rank's number comes from `distributedInfo.rank`, else from the file's name, else a lone file is rank 0.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from traceana_capture import runfile

from traceana.errors import TraceanaError
from traceana.trace.file import NotATraceError, TraceFile
from traceana.trace.manifest import Manifest, read_manifest
from traceana.trace.perf_dump import beside, find_perf_dump

_SUFFIXES = (".json", ".json.gz")
_RANK_IN_NAME = re.compile(r"(?:^|[^a-z])rank[-_ ]?(\d{1,6})(?!\d)", re.IGNORECASE)
_HOST_IN_NAME = re.compile(r"^(?P<host>[A-Za-z0-9.-]+)_\d+\.\d+(?:\.\d+)?\.pt\.trace\.json(?:\.gz)?$")

REPEAT_IN_LABEL = re.compile(r"(?P<side>.*[^\d./])\.(?P<repeat>[1-9]\d{0,3})")
"""A name that ends in a digit is a version (`wan2.1`), not the first repeat of `wan2`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankFile:
    """One rank's trace; `host` is None where neither run.json nor tensorboard's file name tells it."""

    rank: int
    path: Path
    host: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """The files of one run; `unreadable` are ranks' files without a trace in them, each with its reason.

    `side` is what repeats of one setting share, `repeat` counts them; a run by itself has its label and None.
    """

    label: str
    side: str
    repeat: int | None
    folder: Path
    ranks: tuple[RankFile, ...]
    unreadable: tuple[str, ...]
    perf_dumps: tuple[Path, ...]
    manifest: Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What was found, and what was passed over because it is no trace."""

    runs: tuple[RunFiles, ...]
    passed_over: tuple[str, ...]


def discover(paths: Sequence[Path]) -> Discovery:
    """Find all runs. Raises TraceanaError where a path is missing, holds no trace, or two files claim one rank."""
    folders = _folders(paths)
    named = {path for path in paths if path.is_file()}
    passed_over: list[str] = []
    dumps: list[Path] = []
    found = [(root, _run(folder, root, files, named, passed_over, dumps)) for folder, (root, files) in folders.items()]
    runs = _in_order([(root, run) for root, run in found if run is not None])
    if not runs:
        reason = f" ({passed_over[0]})" if passed_over else ""
        listed = ", ".join(str(path) for path in paths)
        raise TraceanaError(
            f"{listed}: no trace found{reason}; traces are Chrome traces of torch.profiler, *.json or *.json.gz"
        )
    taken = {path for run in runs for path in run.perf_dumps}
    passed_over += [f"{path}: a perf dump that belongs to no run folder" for path in dumps if path not in taken]
    return Discovery(runs=_with_sides(_with_unique_labels(runs)), passed_over=tuple(passed_over))


def _in_order(found: Sequence[tuple[Path, RunFiles]]) -> list[RunFiles]:
    """Runs below one PATH in the order in which they were captured, or by name where one does not tell."""
    ordered: list[RunFiles] = []
    for root in dict.fromkeys(root for root, _ in found):
        runs = [run for of, run in found if of == root]
        starts = {run.folder: run.manifest.setup.started for run in runs if run.manifest.setup is not None}
        if len(starts) == len(runs) and all(starts.values()):
            runs.sort(key=lambda run: str(starts[run.folder]))
        ordered += runs
    return ordered


def _folders(paths: Sequence[Path]) -> dict[Path, tuple[Path, list[Path]]]:
    """By folder the PATH that it lies below and its files; a folder that is named twice, or in two ways, is one."""
    spelled: dict[Path, Path] = {}
    found: dict[Path, tuple[Path, list[Path]]] = {}
    for path in paths:
        if path.is_file():
            below: Iterable[tuple[Path, list[Path]]] = [(path.parent, [path])]
        elif path.is_dir():
            below = _walk(path)
        else:
            raise TraceanaError(f"{path}: no such file or folder; name a trace, a run folder or a folder of runs")
        for folder, files in below:
            first = spelled.setdefault(folder.resolve(), folder)
            known = found.setdefault(first, (path.parent if path.is_file() else path, []))[1]
            names = {file.name for file in known}
            known.extend(file for file in files if file.name not in names)
    return found


def _walk(root: Path) -> Iterable[tuple[Path, list[Path]]]:
    for folder, below, names in os.walk(root, onerror=_unreadable_folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        files = [Path(folder, name) for name in sorted(names) if name.endswith(_SUFFIXES) and name != runfile.NAME]
        if files:
            yield Path(folder), files


def _unreadable_folder(error: OSError) -> None:
    raise TraceanaError(f"{error.filename}: cannot be listed ({error.strerror}); check its permissions") from error


def _run(
    folder: Path, root: Path, files: Sequence[Path], named: set[Path], passed_over: list[str], dumps: list[Path]
) -> RunFiles | None:
    manifest = read_manifest(folder)
    claims: list[tuple[int | None, Path]] = []
    unreadable: list[str] = []
    for path in files:
        try:
            claims.append((_rank(path), path))
        except TraceanaError as error:
            if path in named:
                raise
            if isinstance(error, NotATraceError) and find_perf_dump(path):
                dumps.append(path)
                continue
            # A file that calls itself a rank's trace and is none is a rank lost; any other is somebody else's file.
            is_ours = not isinstance(error, NotATraceError) or _RANK_IN_NAME.search(path.name)
            (unreadable if is_ours else passed_over).append(str(error))
    if not claims:
        passed_over.extend(unreadable)
        return None
    label = manifest.label or _label(folder, root, files[0] if len(files) == 1 and files[0] in named else None)
    inside = [path for path in dumps if path.parent == folder]
    return RunFiles(
        label=label if manifest.repeat is None else f"{label}.{manifest.repeat}",
        side=label,
        repeat=manifest.repeat,
        folder=folder,
        ranks=tuple(_ranks(claims, manifest)),
        unreadable=tuple(unreadable),
        perf_dumps=(*inside, *(path for path in beside(folder) if find_perf_dump(path))),
        manifest=manifest,
    )


def _rank(path: Path) -> int | None:
    header = TraceFile(path).peek()
    if header.merged:
        raise NotATraceError(f"{path}: is a merge of several ranks; name the ranks' own files or their folder")
    info = header.distributed
    if info is not None and info.rank is not None:
        return info.rank
    found = _RANK_IN_NAME.search(path.name)
    return int(found.group(1)) if found else None


def _ranks(claims: Sequence[tuple[int | None, Path]], manifest: Manifest) -> list[RankFile]:
    seen: dict[int, Path] = {}
    for rank, path in claims:
        if rank is None and len(claims) > 1:
            raise TraceanaError(f"{path}: its rank is not known; rename the files to rank0.json, rank1.json, …")
        number = 0 if rank is None else rank
        if number in seen:
            raise TraceanaError(
                f"{seen[number]} and {path} are both rank {number}; put each run into a folder of its own"
            )
        seen[number] = path
    return [RankFile(rank=rank, path=path, host=_host(rank, path, manifest)) for rank, path in sorted(seen.items())]


def _host(rank: int, path: Path, manifest: Manifest) -> str | None:
    found = _HOST_IN_NAME.match(path.name)
    return manifest.hosts.get(rank) or (found.group("host") if found else None)


def _label(folder: Path, root: Path, lone_file: Path | None) -> str:
    """A file named by itself lends its name, unless that only says the rank; else the folder's, from the root on."""
    stem = lone_file.name.partition(".json")[0] if lone_file else ""
    if stem and not re.fullmatch(r"rank[-_]?\d+", stem):
        return stem
    inside = folder.relative_to(root)
    return folder.resolve().name or str(folder) if inside == Path() else inside.as_posix()


def _with_unique_labels(runs: Sequence[RunFiles]) -> list[RunFiles]:
    labels = [run.label for run in runs]
    return [
        run
        if labels.count(run.label) == 1
        else replace(
            run, label=f"{run.label} ({run.folder.as_posix()})", side=f"{run.side} ({run.folder.parent.as_posix()})"
        )
        for run in runs
    ]


def _with_sides(runs: Sequence[RunFiles]) -> tuple[RunFiles, ...]:
    """Repeats by run.json keep their side; other labels are looked at for a number that counts repeats."""
    numbered: dict[tuple[Path, str], list[tuple[int, RunFiles]]] = defaultdict(list)
    for run in runs:
        found = REPEAT_IN_LABEL.fullmatch(run.label)
        if run.repeat is None and found:
            numbered[run.folder.parent, found["side"]].append((int(found["repeat"]), run))
    repeats = {
        run.label: replace(run, side=side, repeat=number)
        for (_, side), members in numbered.items()
        if len(members) > 1 and sorted(number for number, _ in members) == list(range(1, len(members) + 1))
        for number, run in members
    }
    return tuple(
        repeats.get(run.label, run if run.repeat is not None else replace(run, side=run.label)) for run in runs
    )
