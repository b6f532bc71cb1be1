"""Which runs and ranks a user's PATHs hold.

A folder with traces in it is a run, wherever it lies below a PATH; files named one by one are runs by their folder.
Folders that hold different ranks of one world are one run, and several windows of a rank are runs of their own.
Repeats of one setting form a side: runs in one folder whose run.json gives one label and counts `repeat`, or whose
labels are `NAME.1`, `NAME.2`, … without a gap; a NAME that ends in a digit is a version, not a repeat.
"""

import re
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace
from traceana_capture import leftover

from traceana.errors import TraceanaError
from traceana.plain import plain
from traceana.trace.claims import Contents, contents
from traceana.trace.file_names import host
from traceana.trace.folders import Group, Part, files_by_folder, joined
from traceana.trace.manifest import Manifest, read_manifest
from traceana.trace.perf_dump import beside, is_perf_dump
from traceana.trace.windows import Claim, Window, windows

REPEAT_IN_LABEL = re.compile(r"(?P<side>.*[^\d./])\.(?P<repeat>[1-9]\d{0,3})")
"""A name that ends in a digit is a version (`wan2.1`), not the first repeat of `wan2`."""


class RankFile(msgspec.Struct, frozen=True, kw_only=True):
    """One rank's trace; `host` is None where neither run.json, the file's header nor its name tells it."""

    rank: int
    path: Path
    host: str | None


class RunFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files of one run; `unreadable` are ranks' files without a trace in them, each with its reason.

    `side` is what repeats of one setting share, `repeat` counts them; a run by itself has its label and None. `root` is
    the PATH that the run lies below. `named` are its files where they were named one by one: the folder may hold
    others. `notes` say what the run was put together from.
    """

    label: str
    side: str
    repeat: int | None
    folder: Path
    ranks: tuple[RankFile, ...]
    unreadable: tuple[str, ...]
    perf_dumps: tuple[Path, ...]
    manifest: Manifest
    root: Path
    named: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, and what was passed over because it is no trace."""

    runs: tuple[RunFiles, ...]
    passed_over: tuple[str, ...]


def discover(paths: Sequence[Path]) -> Discovery:
    """Find all runs. Raises TraceanaError where a path is missing, holds no trace, or two files claim one rank."""
    folders = files_by_folder(paths)
    named = frozenset(path for path in paths if path.is_file())
    found = {folder: contents(folder, files, named) for folder, (_, files) in folders.items()}
    parts = [
        Part(
            folder=folder,
            root=folders[folder][0],
            manifest=read_manifest(folder),
            claims=inside.claims,
            named_rank=inside.named_rank,
        )
        for folder, inside in found.items()
        if inside.claims
    ]
    lone = {folder: files[0] for folder, (_, files) in folders.items() if len(files) == 1 and files[0] in named}
    several = frozenset(part.folder.parent for part in parts if part.manifest.window > 1)
    of_groups = [_runs(group, found, lone.get(group.parts[0].folder), several) for group in joined(parts)]
    runs = [_with_named(run, named) for group in of_groups for run in group]
    passed_over = [plain(note) for note in leftover.notes(paths, folders)]
    passed_over += [reason for inside in found.values() for reason in _passed_over(inside)]
    if not runs:
        reason = f" ({passed_over[0]})" if passed_over else ""
        listed = ", ".join(str(path) for path in paths)
        raise TraceanaError(
            f"{listed}: no trace found{reason}; traces are Chrome traces of torch.profiler, *.json or *.json.gz"
        )
    taken = {path for run in runs for path in run.perf_dumps}
    dumps = [path for inside in found.values() for path in inside.perf_dumps if path not in taken]
    passed_over += [plain(f"{path}: a perf dump that belongs to no run folder") for path in dumps]
    return Discovery(runs=_with_sides(_with_unique_labels(_in_order(runs))), passed_over=tuple(passed_over))


def _passed_over(inside: Contents) -> tuple[str, ...]:
    """Where no rank of a folder can be read, its files are no part of a run."""
    return inside.passed_over if inside.claims else (*inside.unreadable, *inside.passed_over)


def _with_named(run: RunFiles, named: frozenset[Path]) -> RunFiles:
    files = tuple(file.path for file in run.ranks)
    return replace(run, named=files if named.issuperset(files) else ())


def named_together(found: Sequence[RunFiles]) -> list[list[RunFiles]]:
    """Runs whose order PATHS do not say: those below one PATH, or all where PATHS are in the order of their names.

    So a shell writes `traces/*`.
    """
    roots = list(dict.fromkeys(run.root for run in found))
    if roots == sorted(roots):
        return [list(found)]
    return [[run for run in found if run.root == root] for root in roots]


def _in_order(found: Sequence[RunFiles]) -> list[RunFiles]:
    """Runs whose order PATHS do not say in the order in which they were captured, where their run.json tells."""
    ordered: list[RunFiles] = []
    for runs in named_together(found):
        starts = {run.folder: run.manifest.setup.started for run in runs if run.manifest.setup is not None}
        if len(starts) == len({run.folder for run in runs}) and all(starts.values()):
            runs.sort(key=lambda run: str(starts[run.folder]))
        ordered += runs
    return ordered


def _runs(
    group: Group, found: Mapping[Path, Contents], lone_file: Path | None, several: Container[Path]
) -> list[RunFiles]:
    """A run for each window of the group; below folders of `several` are the later windows of the same command."""
    claims = [claim for part in group.parts for claim in part.claims]
    inside = windows(claims)
    if inside is None:
        raise _same_rank(claims)
    manifest = _manifest(group)
    label = plain(manifest.label or _label(group, lone_file))
    if manifest.window > 1 or group.folder in several:
        label = f"{label} window {manifest.window}"
    return [_run(group, manifest, window, f"{label} {window.name}".strip(), found) for window in inside]


def _manifest(group: Group) -> Manifest:
    """The run.json of a folder, of all folders of a run, or of the one that these share."""
    if len(group.parts) == 1:
        return group.parts[0].manifest
    together = read_manifest(*(part.folder for part in group.parts))
    return together if together != Manifest() else read_manifest(group.folder)


def _same_rank(claims: Sequence[Claim]) -> TraceanaError:
    seen: dict[int, Path] = {}
    for claim in claims:
        if claim.rank in seen:
            break
        seen[claim.rank] = claim.file.path
    return TraceanaError(
        f"{seen[claim.rank]} and {claim.file.path} are both rank {claim.rank}; put each run into a folder of its own"
    )


def _run(group: Group, manifest: Manifest, window: Window, side: str, found: Mapping[Path, Contents]) -> RunFiles:
    folders = [part.folder for part in group.parts]
    inside = [path for folder in folders for path in found[folder].perf_dumps]
    kept = {claim.file.path for claim in window.claims}
    files = [
        RankFile(rank=claim.rank, path=claim.file.path, host=_host(claim, part, name if len(group.parts) > 1 else None))
        for part, name in zip(group.parts, group.names, strict=True)
        for claim in part.claims
        if claim.file.path in kept
    ]
    return RunFiles(
        label=side if manifest.repeat is None else f"{side}.{manifest.repeat}",
        side=side,
        repeat=manifest.repeat,
        folder=group.folder,
        ranks=tuple(sorted(files, key=lambda file: file.rank)),
        unreadable=tuple(reason for folder in folders for reason in found[folder].unreadable),
        perf_dumps=(*inside, *(path for path in beside(group.folder) if is_perf_dump(path))),
        manifest=manifest,
        root=group.parts[0].root,
        notes=(*_notes(group, manifest, window), *manifest.notes),
    )


def _notes(group: Group, manifest: Manifest, window: Window) -> tuple[str, ...]:
    names = ", ".join(plain(part.folder) for part in group.parts)
    joined_note = f"the folders {names} are parts of one run, by their ranks and world size"
    window_note = f"the folder holds several windows of its ranks; this is {plain(window.name)}"
    opened = f", opened at {plain(manifest.opened[:19])} UTC" if manifest.opened else ""
    number_note = f"this is window {manifest.window} of its command{opened}; each window is a run by itself here"
    all_notes = (
        (joined_note, len(group.parts) > 1),
        (window_note, bool(window.name)),
        (number_note, manifest.window > 1),
    )
    return tuple(note for note, is_so in all_notes if is_so)


def _host(claim: Claim, part: Part, folder_name: str | None) -> str | None:
    """A folder of several ranks beside others of its run is a node's."""
    stated = part.manifest.hosts.get(claim.rank) or claim.file.header.host
    found = stated or host(claim.file.path.name, claim.rank) or (folder_name if len(part.ranks) > 1 else None)
    return None if found is None else plain(found)


def _label(group: Group, lone_file: Path | None) -> str:
    """A file named by itself lends its name, unless that only says the rank; else the folder's, from the root on."""
    stem = lone_file.name.partition(".json")[0] if lone_file and len(group.parts) == 1 else ""
    if stem and not re.fullmatch(r"rank[-_]?\d+", stem):
        return stem
    folder, root = group.folder, group.parts[0].root
    inside = (folder.relative_to(root) if folder.is_relative_to(root) else Path()) / group.below
    return folder.resolve().name or str(folder) if inside == Path() else inside.as_posix()


def _with_unique_labels(runs: Sequence[RunFiles]) -> list[RunFiles]:
    labels = [run.label for run in runs]
    return [
        run
        if labels.count(run.label) == 1
        else replace(run, label=f"{run.label} ({plain(run.folder)})", side=f"{run.side} ({plain(run.folder.parent)})")
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
