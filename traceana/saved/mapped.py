"""Measured ranks that stay in the files of their parts: their columns are mapped into memory, and let go again.

Columns of thousands of ranks are more than memory holds. What was mapped is read from the file when it is looked at,
and what a part has in memory is given back once several other parts were looked at since.
"""

import contextlib
import mmap
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from traceana.analyze.collectives import Signature
from traceana.analyze.measure import RankResult
from traceana.errors import TraceanaError
from traceana.saved import measured
from traceana.trace.header import Header

_MOST_IN_MEMORY = 192 << 20
"""Bytes of the files that were looked at last."""


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
        self._recent: OrderedDict[int, mmap.mmap] = OrderedDict()
        self._in_memory = 0
        self._shared = _Shared()
        self._map_of: dict[Path, mmap.mmap] = {}
        self._results: dict[Path, RankResult | TraceanaError] = dict(failed)
        for path, place in places.items():
            self._results[path] = self._read(path, place)

    def __getitem__(self, path: Path) -> RankResult | TraceanaError:
        if path in self._map_of:
            self._look_at(self._map_of[path])
        return self._results[path]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def __contains__(self, path: object) -> bool:
        return path in self._results

    def _read(self, path: Path, place: Place) -> RankResult:
        try:
            if place.file not in self._maps:
                with place.file.open("rb") as file:
                    self._maps[place.file] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._map_of[path] = self._maps[place.file]
            self._look_at(self._map_of[path])
            content = memoryview(self._map_of[path])[place.begin : place.end]
            return self._shared.result(measured.decode(content))
        except (OSError, ValueError, TraceanaError) as error:
            raise TraceanaError(f"{place.file}: cannot be read ({error}); measure its traces again") from error

    def _look_at(self, file: mmap.mmap) -> None:
        key = id(file)
        if key in self._recent:
            self._recent.move_to_end(key)
            return
        self._recent[key] = file
        self._in_memory += len(file)
        while len(self._recent) > 1 and self._in_memory > _MOST_IN_MEMORY:
            _, oldest = self._recent.popitem(last=False)
            self._in_memory -= len(oldest)
            # Where a system cannot be told, it takes pages back by itself.
            with contextlib.suppress(AttributeError, OSError):
                oldest.madvise(mmap.MADV_DONTNEED)


class _Shared:
    """What ranks say alike, kept once: each names the ranks of all its groups."""

    def __init__(self) -> None:
        self._signatures: dict[Signature, Signature] = {}
        self._ranks: dict[tuple[int, ...], list[int]] = {}

    def result(self, result: RankResult) -> RankResult:
        signatures = tuple(self._signature(one) for one in result.collectives.signatures)
        return replace(
            result,
            header=self._header(result.header),
            collectives=replace(result.collectives, signatures=signatures),
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
