"""A join of parts holds what it needs of all ranks, and gives back the rest: columns in files, and each group's own."""

import mmap
import sys
import weakref
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.bench.simulated_parts import Simulated, write_parts
from traceana import pipeline
from traceana.analyze.causes import compared as grouped
from traceana.analyze.causes import late
from traceana.analyze.causes.compared import CausedWaits, compared
from traceana.analyze.measure import RankResult
from traceana.pipeline import read_runs
from traceana.saved import mapped, parts
from traceana.settings import Settings

_RANKS, _KEPT = 48, 8
"""Ranks in all, and as many as may be in memory."""
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells what is in memory")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_parts(tmp_path_factory.mktemp("parts"), Simulated(ranks=_RANKS, calls=500), hosts_a_part=2)


@pytest.fixture
def a_rank(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> int:
    """The bytes of one rank's columns; no more than those of some ranks are to be in memory."""
    found = sum(file.stat().st_size for folder in folders for file in folder.glob("*.measured")) // _RANKS
    monkeypatch.setattr(mapped, "_MOST_IN_MEMORY", _KEPT * found)
    return found


def in_memory(folders: list[Path]) -> int:
    """Bytes of the parts' files that are in this process's memory."""
    found, of_part = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if not line.split()[0].endswith(":"):
            of_part = line.split()[-1].startswith(str(folders[0].parent))
        elif of_part and line.startswith("Rss:"):
            found += 1024 * int(line.split()[1])
    return found


def in_files() -> int:
    """Bytes of all files that are in this process's memory, libraries too: quickly told."""
    return mmap.PAGESIZE * int(Path("/proc/self/statm").read_text().split()[2])


@dataclass(frozen=True, slots=True)
class Watched:
    """Bytes of the parts that were in memory, each time they are given back, and how many groups' waits are alive."""

    given_back: list[int] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)


def joined(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> Watched:
    watched = Watched()
    give_back = mapped.MappedRanks._give_back

    def watching(ranks: mapped.MappedRanks) -> None:
        before = in_files()
        give_back(ranks)
        watched.given_back.append(before - in_files())

    def counting(*matched: Any) -> Iterator[CausedWaits]:
        by_ns = []
        for waits in compared(*matched):
            by_ns.append(weakref.ref(waits.by_ns))
            watched.groups.append(sum(one() is not None for one in by_ns))
            yield waits

    monkeypatch.setattr(mapped.MappedRanks, "_give_back", watching)
    monkeypatch.setattr(late, "compared", counting)
    # A replay is of a few steps of a few ranks, and takes seconds.
    monkeypatch.setattr(pipeline, "what_helps", lambda *_: (None, "not asked for"))
    read_runs(folders, Settings(), lambda *_: None)
    return watched


def test_a_join_takes_the_columns_of_a_few_ranks_and_the_waits_of_a_group_at_a_time(
    folders: list[Path], a_rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = joined(folders, monkeypatch)
    assert len(watched.given_back) > _RANKS / _KEPT
    # What a system brings in around a page that is asked for belongs to other ranks too.
    assert max(watched.given_back) <= 2 * _KEPT * a_rank < _RANKS * a_rank / 2
    assert len(watched.groups) == 6 + 8 + 1
    assert max(watched.groups) <= 2


def test_columns_that_somebody_keeps_are_given_back_whenever_they_came_back(folders: list[Path], a_rank: int) -> None:
    results = parts.read(folders).results
    kept: list[RankResult] = []
    for path in results:
        result = results[path]
        assert isinstance(result, RankResult)
        kept.append(result)
    assert sum(int(one.collectives.end_ns.sum() + one.occupation.compute.start.sum()) for one in kept) > 0
    assert in_memory(folders) > _RANKS * a_rank / 8
    for path in list(results)[: 2 * _KEPT]:
        assert results[path]
    assert in_memory(folders) < _KEPT * a_rank / 2


def test_the_first_steps_of_a_ranks_work_leave_the_rest_of_it(folders: list[Path]) -> None:
    result = next(iter(parts.read(folders).results.values()))
    assert isinstance(result, RankResult)
    assert result.work is not None
    first = result.work.until(int(result.work.start_ns[10]))
    assert len(first) == 10
    for name in first.__struct_fields__:
        assert not np.shares_memory(getattr(first, name), getattr(result.work, name))


def test_what_processes_beside_this_one_find_of_ranks_and_groups_is_the_same(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "what_helps", lambda *_: (None, "not asked for"))
    monkeypatch.setattr(grouped, "_MANY_CALLS", 1)
    sent: list[str] = []
    submit = ProcessPoolExecutor.submit

    def watched(pool: ProcessPoolExecutor, function: Any, *item: Any) -> Any:
        sent.append(function.__name__)
        return submit(pool, function, *item)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", watched)
    here, beside = (
        msgspec.json.encode([run.report for run in read_runs(folders, Settings(workers=workers), lambda *_: None)[0]])
        for workers, many in ((1, 64), (2, 2))
        if not monkeypatch.setattr(pipeline, "_MANY_RANKS", many)
    )
    assert here == beside
    assert Counter(sent) == {"_split": _RANKS, "shared_out": 6 + 8 + 1}
