"""Which rank each file of a folder is of.

A rank comes from `distributedInfo.rank`, wherever that stands in the file; else from the file's name, where that says
"rank" or one number differs between the names; else from the folder's name; a file by itself is rank 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from traceana.errors import TraceanaError
from traceana.trace.file import NotATraceError
from traceana.trace.file_names import ranks_by_number, stated_rank, stem
from traceana.trace.identify import ForeignTraceError, Identity, identify
from traceana.trace.perf_dump import find_perf_dump
from traceana.trace.windows import Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A folder's files: those of ranks, those of ranks that cannot be read, perf dumps, and others; with reasons."""

    claims: tuple[Claim, ...]
    unreadable: tuple[str, ...]
    passed_over: tuple[str, ...]
    perf_dumps: tuple[Path, ...]
    named_rank: bool
    """Whether the rank comes from the folder's name."""


def contents(folder: Path, paths: Sequence[Path], named: frozenset[Path]) -> Contents:
    """Sort a folder's files.

    Raises TraceanaError where a file that was `named` by itself is no trace and its folder has no other, and where
    nothing tells the ranks of several files.
    """
    files: list[Identity] = []
    failed: dict[Path, TraceanaError] = {}
    for path in paths:
        try:
            files.append(identify(path))
        except TraceanaError as error:
            failed[path] = error
    dumps = tuple(path for path, error in failed.items() if _is_perf_dump(path, error))
    failed |= _packed_too(files)
    files = [file for file in files if file.path not in failed]
    for path in named.intersection(failed) if not files else ():
        if path not in dumps:
            raise failed[path]
    found = _claims(folder, files)
    ranks = {claim.rank for claim in found.claims}
    lost = {path for path, error in failed.items() if _is_lost_rank(path, error, ranks)}
    return Contents(
        claims=found.claims,
        unreadable=(*(str(failed[path]) for path in failed if path in lost), *found.unknown),
        passed_over=(
            *(str(error) for path, error in failed.items() if path not in lost and path not in dumps),
            *found.passed_over,
        ),
        perf_dumps=dumps,
        named_rank=found.named_rank,
    )


def _packed_too(files: Sequence[Identity]) -> dict[Path, TraceanaError]:
    """Files whose trace is here packed too, as `gzip -k` leaves it."""
    known = {file.path: (file.header, file.start_ns) for file in files}
    packed = {file.path: file.path.with_name(f"{file.path.name}.gz") for file in files}
    return {
        path: ForeignTraceError(f"{path}: is the same trace as {other.name}")
        for path, other in packed.items()
        if other in known and known[other] == known[path]
    }


def _is_perf_dump(path: Path, error: TraceanaError) -> bool:
    return isinstance(error, NotATraceError) and find_perf_dump(path) is not None


def _is_lost_rank(path: Path, error: TraceanaError, ranks: set[int]) -> bool:
    """A file that calls itself a rank's trace and is none is a rank lost; any other is somebody else's file."""
    if isinstance(error, ForeignTraceError):
        return False
    rank = stated_rank(stem(path))
    return not isinstance(error, NotATraceError) or (rank is not None and rank not in ranks)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    claims: tuple[Claim, ...] = ()
    unknown: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    named_rank: bool = False


def _claims(folder: Path, files: Sequence[Identity]) -> _Found:
    by_file = [_own_rank(file) for file in files]
    taken = {rank for file, rank in zip(files, by_file, strict=True) if file.active}
    idle = [
        file
        for file, rank in zip(files, by_file, strict=True)
        if not file.active and (rank is None or (file.header.rank is None and rank in taken))
    ]
    passed_over = tuple(
        f"{file.path}: is a CPU trace without a rank, GPU activity or collectives, as a server's front end leaves it"
        for file in idle
    )
    ours = [(file, rank) for file, rank in zip(files, by_file, strict=True) if file not in idle]
    known = [rank for _, rank in ours]
    by_folder = stated_rank(folder.resolve().name)
    if None in known:
        known = _told_by_names(ours, by_folder)
    unknown = [file for (file, _), rank in zip(ours, known, strict=True) if rank is None]
    if unknown and len(unknown) == len(ours):
        raise TraceanaError(f"{unknown[0].path}: its rank is not known; rename the files to rank0.json, rank1.json, …")
    return _Found(
        claims=tuple(
            Claim(rank=rank, file=file) for (file, _), rank in zip(ours, known, strict=True) if rank is not None
        ),
        unknown=tuple(f"{file.path}: its rank is not known; rename it to rank0.json or the like" for file in unknown),
        passed_over=passed_over,
        named_rank=by_folder is not None and all(rank is None for _, rank in ours),
    )


def _own_rank(file: Identity) -> int | None:
    return stated_rank(stem(file.path)) if file.header.rank is None else file.header.rank


def _told_by_names(files: Sequence[tuple[Identity, int | None]], by_folder: int | None) -> list[int | None]:
    """Ranks where some files state none themselves."""
    known = [rank for _, rank in files]
    if by_folder is not None and all(rank is None for rank in known):
        return [by_folder] * len(files)
    if len(files) == 1:
        return [0]
    peers = frozenset[int]().union(*(file.peers for file, _ in files))
    numbers = ranks_by_number([stem(file.path) for file, _ in files], known, peers)
    return known if numbers is None else [*numbers]
