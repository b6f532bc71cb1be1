"""Measured ranks that stay in the files of their parts: their columns are mapped into memory, and let go again.

Columns of thousands of ranks are more than memory holds. What was mapped is read from the file when it is looked at,
and once ranks of so many bytes were looked at, what is in memory of any rank is given back. An object of a store is
copied to the disk first.
"""

import contextlib
import errno
import mmap
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace
from traceana_capture.reading import open_regular

from traceana.analyze.collectives import Signature
from traceana.analyze.measure import RankResult
from traceana.errors import TraceanaError
from traceana.saved import measured
from traceana.trace.header import Header
from traceana.trace.remote import RemotePath

_MOST_IN_MEMORY = 64 << 20
"""Bytes of the ranks that were looked at since memory was given back."""
_COPIED = 8 << 20


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a rank's columns are."""

    file: Path
    begin: int
    end: int


class MappedRanks(Mapping[Path, RankResult | TraceanaError]):
    """Results of ranks by the paths of their traces, and why others have none.

    Raises TraceanaError where a file cannot be read, or is not as it was written.
    """

    def __init__(self, places: Mapping[Path, Place], failed: Mapping[Path, TraceanaError]) -> None:
        self._maps: dict[Path, mmap.mmap] = {}
        self._seen: set[int] = set()
        self._in_memory = 0
        self._shared = _Shared()
        self._results: dict[Path, tuple[RankResult | TraceanaError, Place | None]] = {
            path: (reason, None) for path, reason in failed.items()
        }
        for path, place in places.items():
            self._results[path] = self._read(place), place

    def __getitem__(self, path: Path) -> RankResult | TraceanaError:
        result, place = self._results[path]
        if place:
            self._look_at(place)
        return result

    def __iter__(self) -> Iterator[Path]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def __contains__(self, path: object) -> bool:
        return path in self._results

    def _read(self, place: Place) -> RankResult:
        try:
            whole = self._maps.get(place.file) or self._maps.setdefault(place.file, _mapped(place.file))
            self._look_at(place)
            return self._shared.result(measured.decode(memoryview(whole)[place.begin : place.end]))
        except (OSError, ValueError, TraceanaError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise TraceanaError(
                    f"{place.file}: no space for a copy in {tempfile.gettempdir()}; set TMPDIR to a folder with more"
                ) from error
            raise TraceanaError(f"{place.file}: cannot be read ({error}); measure its traces again") from error

    def _look_at(self, place: Place) -> None:
        if id(place) in self._seen:
            return
        if self._in_memory + place.end - place.begin > _MOST_IN_MEMORY:
            self._give_back()
        self._seen.add(id(place))
        self._in_memory += place.end - place.begin

    def _give_back(self) -> None:
        """Of all files: columns that somebody kept may have come back into memory since they were looked up."""
        self._seen.clear()
        self._in_memory = 0
        for file in self._maps.values():
            # Where a system cannot be told, it takes pages back by itself.
            with contextlib.suppress(AttributeError, OSError):
                file.madvise(mmap.MADV_DONTNEED)


def _mapped(file: Path) -> mmap.mmap:
    """The file, or a copy of an object that has no name and goes with its map. Raises OSError, ValueError if empty."""
    with open_regular(file) as opened:
        if not isinstance(file, RemotePath):
            return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(opened, copy, _COPIED)
            copy.flush()
            return mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ)


class _Shared:
    """What ranks say alike, kept once: each names the ranks of all its groups, and its steps."""

    def __init__(self) -> None:
        self._signatures: dict[Signature, Signature] = {}
        self._ranks: dict[tuple[int, ...], list[int]] = {}
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}

    def result(self, result: RankResult) -> RankResult:
        signatures = tuple(self._signature(one) for one in result.collectives.signatures)
        return replace(
            result,
            header=self._header(result.header),
            collectives=replace(result.collectives, signatures=signatures),
            spans=replace(result.spans, names=self._names.setdefault(result.spans.names, result.spans.names)),
        )

    def _signature(self, one: Signature) -> Signature:
        return self._signatures.setdefault(one, one)

    def _header(self, header: Header) -> Header:
        if header.distributed is None:
            return header
        groups = [
            msgspec.structs.replace(one, ranks=self._ranks.setdefault(tuple(one.ranks), one.ranks))
            for one in header.distributed.pg_config
        ]
        return msgspec.structs.replace(
            header, distributed=msgspec.structs.replace(header.distributed, pg_config=groups)
        )
