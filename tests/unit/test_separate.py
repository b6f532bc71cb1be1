"""Groups that nothing names and that keep pace: whose calls are whose."""

from collections.abc import Sequence

import numpy as np
import pytest

from tests.matching import US, Made, collectives, signature
from traceana.analyze.collectives import Collectives
from traceana.analyze.match import match
from traceana.analyze.matched import Matching

CALLS = 16


class _Program:
    """Ranks of one host that come to calls at random times, a transfer after the last of the group leave it."""

    def __init__(self, ranks: int, wobble_ns: int = 0) -> None:
        self._random = np.random.default_rng(7)
        self._wobble_ns = wobble_ns
        self._now = np.zeros(ranks, dtype=np.int64)
        self.made: list[list[Made]] = [[] for _ in range(ranks)]
        self.waited = np.zeros(ranks, dtype=np.int64)

    def call(self, *groups: Sequence[int], op: str = "all_reduce", later: Sequence[int] = ()) -> None:
        """One call in each group; ranks `later` leave it 4 to 8 µs behind the others."""
        for group in map(list, groups):
            self._now[group] += self._random.integers(60, 100, len(group)) * US
            start = self._now[group]
            self.waited[group] += start.max() - start
            end = start.max() + 60 * US + self._random.integers(0, self._wobble_ns + 1, len(group))
            end += np.isin(group, later) * self._random.integers(4, 8) * US
            self._now[group] = end
            kind = signature(op, None, size=None)
            for rank, from_ns, to_ns in zip(group, start.tolist(), end.tolist(), strict=True):
                self.made[rank].append(Made(start=from_ns, end=to_ns, signature=kind))

    def matched(self, stated: Sequence[tuple[int, ...]] = ()) -> tuple[Matching, dict[int, Collectives]]:
        ranks = {rank: collectives(calls) for rank, calls in enumerate(self.made)}
        return match(ranks, len(ranks), dict.fromkeys(ranks, "node"), stated), ranks


def _waits(found: Matching, ranks: dict[int, Collectives]) -> list[int]:
    return [int(found.per_rank(rank, len(calls))[0].sum()) for rank, calls in ranks.items()]


@pytest.mark.parametrize("groups", [[(0, 1), (2, 3)], [(0, 3), (1, 4), (2, 5)], [(0, 2, 4, 6), (1, 3, 5, 7)]])
@pytest.mark.parametrize("world_is_stated", [False, True])
@pytest.mark.parametrize("op", ["all_reduce", "send_recv"])
def test_groups_that_keep_pace_do_not_wait_for_each_other(
    groups: list[tuple[int, ...]], op: str, world_is_stated: bool
) -> None:
    world = sum(map(len, groups))
    program = _Program(world)
    for _ in range(CALLS):
        program.call(*groups, op=op)
    found, ranks = program.matched([tuple(range(world)), *groups] if world_is_stated else ())
    assert {group.ranks for group in found.groups} == set(groups)
    assert _waits(found, ranks) == program.waited.tolist()
    assert found.notes == ()


def test_groups_of_hosts_whose_clocks_nothing_compares_keep_to_themselves() -> None:
    program = _Program(4)
    for _ in range(CALLS):
        program.call((0, 1), (2, 3))
    ranks = {rank: collectives(calls) for rank, calls in enumerate(program.made)}
    found = match(ranks, 4, {0: "a", 1: "a", 2: "b", 3: "b"})
    assert {group.ranks for group in found.groups} == {(0, 1), (2, 3)}
    assert _waits(found, ranks) == program.waited.tolist()


def test_kinds_of_calls_have_groups_of_their_own() -> None:
    program = _Program(4)
    for _ in range(CALLS):
        program.call((0, 1), (2, 3))
        program.call((0, 1, 2, 3), op="all_gather")
    found, ranks = program.matched()
    assert {group.ranks for group in found.groups} == {(0, 1), (2, 3), (0, 1, 2, 3)}
    assert _waits(found, ranks) == program.waited.tolist()


def test_one_kind_in_unlike_groups_is_left_unmatched_and_named() -> None:
    program = _Program(4)
    for _ in range(CALLS):
        program.call((0, 1), (2, 3))
        program.call((0, 1, 2, 3))
    found, _ = program.matched()
    assert list(found.groups) == []
    assert any("what group they are of is not told" in note for note in found.notes)


@pytest.mark.parametrize("later", [(), (2, 3)])
def test_ranks_of_one_group_may_leave_a_little_apart(later: tuple[int, ...]) -> None:
    program = _Program(4, wobble_ns=300 if later else 3 * US)
    for _ in range(CALLS):
        program.call((0, 1, 2, 3), later=later)
    found, ranks = program.matched()
    assert {group.ranks for group in found.groups} == {(0, 1, 2, 3)}
    assert _waits(found, ranks) == program.waited.tolist()


def test_sends_of_a_pipeline_that_nothing_names_are_no_collective() -> None:
    program = _Program(4)
    for _ in range(CALLS):
        for stage in range(3):
            program.call((stage, stage + 1), op="send_recv")
    found, _ = program.matched()
    assert list(found.groups) == []
    assert any("what group they are of is not told" in note for note in found.notes)
