"""Measured runs as folders of parts: what `traceana measure` writes where the traces are, and `analyze` joins.

A part holds `part.json`, which tells the runs as they were found and what became of each file, and one file with the
columns of its ranks. Everything that an analysis needs is in it, so that the traces can stay where they are.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace
from traceana_capture.reading import DECODE_ERRORS, read_regular

from traceana.analyze.measure import RankResult
from traceana.errors import TraceanaError
from traceana.plain import plain as words
from traceana.report import PerfDump
from traceana.saved import measured
from traceana.saved.mapped import MappedRanks, Place
from traceana.saved.part_index import INDEX, is_part
from traceana.saved.version import version
from traceana.trace.discover import Discovery, RankFile, RunFiles
from traceana.trace.paired import PairedCalls
from traceana.trace.remote import RemotePath, path_of

# Each writing has a file of its own: tasks of a job may be given one folder by mistake.
_COLUMNS = "ranks.{}.measured"
_OWN = re.compile(r"[0-9a-f]{32}")


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Runs, and what was found in each of their files: a rank's result or why there is none; by path."""

    found: Discovery
    results: Mapping[Path, RankResult | TraceanaError]
    perf_dumps: Mapping[Path, PerfDump]
    paired: Mapping[Path, PairedCalls]
    """By the folder of the run."""


class _Index(msgspec.Struct, frozen=True, kw_only=True):
    """`part.json`. `version` is of what measured; `columns` (where they begin and end) and `failed` are by path.

    `own` is in the name of the file of columns.
    """

    version: str
    own: str
    found: Discovery
    columns: dict[str, tuple[int, int]]
    failed: dict[str, str]
    perf_dumps: dict[str, PerfDump]
    paired: dict[str, PairedCalls]


def write(folder: Path, part: Measured) -> None:
    """Write the part; its index comes last, so that a part that was cut off is none.

    Raises OSError, and TraceanaError where the folder holds a part of other traces.
    """
    folder.mkdir(parents=True, exist_ok=True)
    earlier = _replaced(folder, part)
    own = uuid.uuid4().hex
    columns, failed = {}, {}
    with (folder / _COLUMNS.format(own)).open("xb") as file:
        for path, result in part.results.items():
            if isinstance(result, TraceanaError):
                failed[words(path)] = str(result)
            else:
                begin = file.tell()
                file.write(measured.encode(result))
                columns[words(path)] = begin, file.tell()
    index = _Index(
        version=version(),
        own=own,
        found=part.found,
        columns=columns,
        failed=failed,
        perf_dumps={words(path): dump for path, dump in part.perf_dumps.items()},
        paired={words(path): calls for path, calls in part.paired.items()},
    )
    try:
        _publish(folder, own, msgspec.json.encode(index, enc_hook=measured.plain), part)
    except TraceanaError:
        (folder / _COLUMNS.format(own)).unlink()
        raise
    # Another analysis may read the old one, which it has open.
    if earlier is not None:
        (folder / _COLUMNS.format(earlier.own)).unlink(missing_ok=True)


def _publish(folder: Path, own: str, index: bytes, part: Measured) -> None:
    """Let the index appear as a whole. Raises TraceanaError where another task was quicker, with other traces."""
    if isinstance(folder, RemotePath):
        _replaced(folder, part)
        (folder / INDEX).write_bytes(index)
        return
    partial = folder / f".{own}.json"
    try:
        partial.write_bytes(index)
        _replaced(folder, part)
        partial.replace(folder / INDEX)
    finally:
        partial.unlink(missing_ok=True)


def _replaced(folder: Path, part: Measured) -> _Index | None:
    """The part that is there, of the same traces. Raises TraceanaError where it is of others."""
    if not is_part(folder):
        return None
    try:
        earlier = _index(folder)
    except TraceanaError:
        # Of another version, or damaged.
        return None
    if {*earlier.columns, *earlier.failed} != set(map(words, part.results)):
        raise TraceanaError(
            f"{folder}: holds a part of other traces; name another folder with -o, one for each task or node"
        )
    return earlier


def read(folders: Sequence[Path]) -> Measured:
    """All parts as one. Raises TraceanaError where one is damaged, of another version, or two measured one rank."""
    indices = {folder: _index(folder) for folder in folders}
    places: dict[Path, Place] = {}
    failed: dict[Path, TraceanaError] = {}
    for folder, index in indices.items():
        for path in (*index.columns, *index.failed):
            if path_of(path) in places or path_of(path) in failed:
                raise TraceanaError(f"{folder}: {path} is in another part too; name each part once")
        places.update(
            (path_of(path), Place(file=folder / _COLUMNS.format(index.own), begin=begin, end=end))
            for path, (begin, end) in index.columns.items()
        )
        failed.update((path_of(path), TraceanaError(reason)) for path, reason in index.failed.items())
    found = _joined([index.found for index in indices.values()])
    paths = {file.path for run in found.runs for file in run.ranks}
    absent = sorted(paths - places.keys() - failed.keys())
    missing = {path: TraceanaError(f"{path}: in none of these parts; name the one that measured it") for path in absent}
    return Measured(
        found=found,
        results=MappedRanks(places, {**failed, **missing}),
        perf_dumps={path_of(path): one for index in indices.values() for path, one in index.perf_dumps.items()},
        paired={path_of(path): one for index in indices.values() for path, one in index.paired.items()},
    )


def _index(folder: Path) -> _Index:
    try:
        index = msgspec.json.decode(read_regular(folder / INDEX), type=_Index, dec_hook=measured.whole)
    except OSError as error:
        raise TraceanaError(f"{folder}: cannot be read ({error.strerror}); measure its traces again") from error
    except DECODE_ERRORS as error:
        raise TraceanaError(f"{folder}: no part of this version ({error}); measure its traces again") from error
    if not _OWN.fullmatch(index.own):
        raise TraceanaError(f"{folder}: no part of this version; measure its traces again")
    if index.version != version():
        raise TraceanaError(f"{folder}: another version of traceana measured it; measure its traces again")
    return index


def _joined(found: Sequence[Discovery]) -> Discovery:
    runs: dict[tuple[Path, str], RunFiles] = {}
    for discovery in found:
        for run in discovery.runs:
            key = (run.folder, run.label)
            runs[key] = _with_ranks(runs[key], run) if key in runs else run
    passed_over = dict.fromkeys(reason for discovery in found for reason in discovery.passed_over)
    return Discovery(runs=tuple(runs.values()), passed_over=tuple(passed_over))


def _with_ranks(run: RunFiles, other: RunFiles) -> RunFiles:
    """A node that sees its own ranks alone tells the same run as the others."""
    ranks: dict[int, RankFile] = {file.rank: file for file in run.ranks}
    for file in other.ranks:
        if ranks.setdefault(file.rank, file).path != file.path:
            raise TraceanaError(
                f"{ranks[file.rank].path} and {file.path} are both rank {file.rank} of {run.label}: parts of two runs; "
                "analyze each by itself"
            )
    return replace(
        run,
        ranks=tuple(file for _, file in sorted(ranks.items())),
        unreadable=tuple(dict.fromkeys((*run.unreadable, *other.unreadable))),
        perf_dumps=tuple(dict.fromkeys((*run.perf_dumps, *other.perf_dumps))),
        notes=tuple(dict.fromkeys((*run.notes, *other.notes))),
    )
