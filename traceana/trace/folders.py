"""Which folders and files lie below the PATHs, and which folders hold parts of one run."""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from traceana_capture import runfile

from traceana.errors import TraceanaError
from traceana.trace.manifest import Manifest
from traceana.trace.remote import RemotePath
from traceana.trace.windows import Claim, is_part_of_time

_SUFFIXES = (".json", ".json.gz")
# Ranks of one run begin their traces together; clocks of hosts may be apart, but by no such time.
_LONGEST_APART_NS = 3600 * 10**9


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One folder's files of ranks; `root` is the PATH that it lies below. Files of one rank may be several windows."""

    folder: Path
    root: Path
    manifest: Manifest
    claims: tuple[Claim, ...]
    named_rank: bool
    """Whether the rank comes from the folder's name."""

    @property
    def ranks(self) -> frozenset[int]:
        """The ranks that are here."""
        return frozenset(claim.rank for claim in self.claims)

    @property
    def world_sizes(self) -> frozenset[int | None]:
        """What the files state."""
        infos = (claim.file.header.distributed for claim in self.claims)
        return frozenset(info.world_size if info else None for info in infos)


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of one run; `folder` is what their paths share, `below` what they share below the name that differs."""

    folder: Path
    below: Path
    parts: tuple[Part, ...]
    names: tuple[str, ...]
    """Of each part what its path differs by."""


def files_by_folder(paths: Sequence[Path]) -> dict[Path, tuple[Path, list[Path]]]:
    """By folder the PATH that it lies below and its files; a folder that is named twice, or in two ways, is one."""
    spelled: dict[Path, Path] = {}
    found: dict[Path, tuple[Path, list[Path]]] = {}
    for path in paths:
        for folder, files in _below(path):
            first = spelled.setdefault(folder.resolve(), folder)
            known = found.setdefault(first, (path.parent if path.is_file() else path, []))[1]
            names = {file.name for file in known}
            known.extend(file for file in files if file.name not in names)
    return found


def _below(path: Path) -> Iterable[tuple[Path, list[Path]]]:
    if path.is_file():
        return [(path.parent, [path])]
    if path.is_dir():
        return list(_objects(path)) if isinstance(path, RemotePath) else _walk(path)
    raise TraceanaError(f"{path}: no such file or folder; name a trace, a run folder or a folder of runs")


def _objects(root: RemotePath) -> Iterable[tuple[Path, list[Path]]]:
    for folder, names in root.walk_below():
        if files := _traces(folder, names):
            yield folder, files


def _walk(root: Path) -> Iterable[tuple[Path, list[Path]]]:
    for folder, below, names in os.walk(root, onerror=_unreadable_folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        names += [name for name in below if name.endswith(_SUFFIXES) and not _holds_traces(Path(folder, name))]
        if files := _traces(Path(folder), sorted(names)):
            yield Path(folder), files


def _traces(folder: Path, names: Iterable[str]) -> list[Path]:
    files = [folder / name for name in names if name.endswith(_SUFFIXES) and name != runfile.NAME]
    return [file for file in files if file.suffix == ".gz" or not runfile.is_ours(file)]


def _holds_traces(folder: Path) -> bool:
    """Whether a folder that is called as a trace is has some; else it stands where a rank's trace should be."""
    return any(name.endswith(_SUFFIXES) for _, _, names in os.walk(folder) for name in names)


def _unreadable_folder(error: OSError) -> None:
    raise TraceanaError(f"{error.filename}: cannot be listed ({error.strerror}); check its permissions") from error


def joined(parts: Sequence[Part]) -> list[Group]:
    """Folders that differ in one name and hold different ranks of one world are one run; others stay by themselves."""
    left = {part.folder: part for part in parts}
    groups: dict[Path, Group] = {}
    deepest = max((len(folder.resolve().parts) for folder in left), default=0)
    for depth in range(deepest - 1, 0, -1):
        for members in _alike_but_at(depth, left.values()):
            if len(members) > 1 and _is_one_run(members):
                groups[members[0].folder] = _group(members, depth)
                for part in members:
                    del left[part.folder]
    alone = {
        folder: Group(folder=folder, below=Path(), parts=(part,), names=(folder.name,)) for folder, part in left.items()
    }
    return [group for part in parts if (group := (groups | alone).get(part.folder))]


def _alike_but_at(depth: int, parts: Iterable[Part]) -> list[list[Part]]:
    """Folders whose paths differ in the name at this depth only, and that not by a step or another part of time."""
    alike: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Part]] = defaultdict(list)
    for part in parts:
        names = part.folder.resolve().parts
        if len(names) > depth and not is_part_of_time(names[depth]):
            alike[names[:depth], names[depth + 1 :]].append(part)
    return list(alike.values())


def _is_one_run(parts: Sequence[Part]) -> bool:
    """Whether world size, ranks, times and run.json all say that these are parts of one run."""
    ranks = frozenset[int]().union(*(part.ranks for part in parts))
    worlds = frozenset[int | None]().union(*(part.world_sizes for part in parts)) - {None}
    starts = [min(known) for part in parts if (known := _starts(part))]
    return (
        sum(len(part.ranks) for part in parts) == len(ranks)
        and (all(max(ranks) < world for world in worlds if world) if len(worlds) == 1 else _named(parts, worlds))
        and len({(part.manifest.label, part.manifest.repeat) for part in parts}) == 1
        and (not starts or max(starts) - min(starts) < _LONGEST_APART_NS)
    )


def _named(parts: Sequence[Part], worlds: frozenset[int | None]) -> bool:
    return not worlds and all(part.named_rank for part in parts)


def _starts(part: Part) -> list[int]:
    return [claim.file.start_ns for claim in part.claims if claim.file.start_ns is not None]


def _group(parts: Sequence[Part], depth: int) -> Group:
    folder = parts[0].folder
    names = folder.resolve().parts
    above = len(names) - depth - 1
    known = folder.parents
    shared = known[above] if above < len(known) else folder.resolve().parents[above]
    return Group(
        folder=shared,
        below=Path(*names[depth + 1 :]),
        parts=tuple(parts),
        names=tuple(part.folder.resolve().parts[depth] for part in parts),
    )
