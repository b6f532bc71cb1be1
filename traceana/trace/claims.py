"""Which rank each file of a folder is of.

A rank comes from `distributedInfo.rank`, wherever that stands in the file; else from the file's name, where that says
"rank" or one number differs between the names; else from the folder's name; a file by itself is rank 0.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from traceana.errors import TraceanaError
from traceana.plain import plain
from traceana.trace.file import NotATraceError
from traceana.trace.file_names import ranks_by_number, stated_rank, stem
from traceana.trace.identify import ForeignTraceError, Identity, identify
from traceana.trace.perf_dump import is_perf_dump
from traceana.trace.windows import Claim

_FRONT_END = "is a CPU trace without a rank, GPU activity or collectives, as a server's front end leaves it"
_UNKNOWN = "its rank is not known; rename the files to rank0.json, rank1.json, …"


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """A folder's files: those of ranks, those of ranks that cannot be read, perf dumps, and others; with reasons."""

    claims: tuple[Claim, ...]
    unreadable: tuple[str, ...]
    passed_over: tuple[str, ...]
    perf_dumps: tuple[Path, ...]
    named_rank: bool
    """Whether the rank comes from the folder's name."""


def contents(folder: Path, paths: Sequence[Path], named: frozenset[Path]) -> Contents:
    """Sort a folder's files.

    Raises TraceanaError where a file that was `named` by itself is no trace and its folder has no other.
    """
    files, failed = _identified(paths)
    dumps = tuple(path for path, error in failed.items() if _is_perf_dump(path, error))
    for path, error in failed.items() if not files else ():
        if path in named and path not in dumps:
            raise error
    failed |= {file.path: ForeignTraceError(f"{file.path}: {_FRONT_END}") for file in _idle(files)}
    ours = [file for file in files if file.path not in failed]
    by_folder = stated_rank(folder.resolve().name)
    found = _ranks(ours, by_folder)
    claims = tuple(Claim(rank=rank, file=file) for file, rank in zip(ours, found, strict=True) if rank is not None)
    known = {claim.rank for claim in claims}
    lost = [path for path, error in failed.items() if _is_lost_rank(path, error, known)]
    others = [path for path in failed if path not in lost and path not in dumps]
    return Contents(
        claims=claims,
        unreadable=(
            *(str(failed[path]) for path in lost),
            *(plain(f"{file.path}: {_UNKNOWN}") for file, rank in zip(ours, found, strict=True) if rank is None),
        ),
        passed_over=tuple(str(failed[path]) for path in others),
        perf_dumps=dumps,
        named_rank=by_folder is not None and all(_own_rank(file) is None for file in ours),
    )


def _identified(paths: Sequence[Path]) -> tuple[list[Identity], dict[Path, TraceanaError]]:
    """Files that may be ranks', and why others are not; a trace that is here packed too counts once."""
    files: list[Identity] = []
    failed: dict[Path, TraceanaError] = {}
    for path in paths:
        try:
            files.append(identify(path))
        except TraceanaError as error:
            failed[path] = error
    failed |= _packed_too(files)
    return [file for file in files if file.path not in failed], failed


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
    return isinstance(error, NotATraceError) and is_perf_dump(path)


def _is_lost_rank(path: Path, error: TraceanaError, ranks: set[int]) -> bool:
    """A file that calls itself a rank's trace and is none is a rank lost; any other is somebody else's file."""
    if isinstance(error, ForeignTraceError):
        return False
    rank = stated_rank(stem(path))
    return not isinstance(error, NotATraceError) or (rank is not None and rank not in ranks)


def _idle(files: Sequence[Identity]) -> list[Identity]:
    """Files of no activity and no rank of their own; a name may state a rank that has another file."""
    taken = {_own_rank(file) for file in files if file.active}
    idle = [file for file in files if not file.active and file.header.rank is None]
    return [file for file in idle if (rank := _own_rank(file)) is None or rank in taken]


def _ranks(files: Sequence[Identity], by_folder: int | None) -> Sequence[int | None]:
    """Each file's rank, None where nothing tells it."""
    known = [_own_rank(file) for file in files]
    if None not in known:
        return known
    if by_folder is not None and all(rank is None for rank in known):
        return [by_folder] * len(files)
    if len(files) == 1:
        return [0]
    peers = frozenset[int]().union(*(file.peers for file in files))
    numbers = ranks_by_number([stem(file.path) for file in files], known, peers)
    return known if numbers is None else numbers


def _own_rank(file: Identity) -> int | None:
    return stated_rank(stem(file.path)) if file.header.rank is None else file.header.rank
