"""Clocks of hosts from what ranks did together: offsets, drift, and whether the residual is the bound it says it is."""

from collections.abc import Mapping

import numpy as np
import pytest

from tests.matching import US, Clocked, Made, collectives, joint_run, signature
from traceana.analyze.match import match
from traceana.analyze.matched import Matching


def worst_error_ns(clocked: Clocked, found: Matching, at_ns: int) -> float:
    """Over all ranks, how far two equal true times are apart after correction."""
    read = {rank: found.clocks.common(rank, np.array([clocked.read(rank, at_ns)])) for rank in clocked.host_of}
    values = np.array(list(read.values()))
    return float(np.abs(values - values[0]).max())


def drifting(rate: float) -> Clocked:
    return Clocked(
        host_of={0: "a", 1: "a", 2: "b", 3: "b"}, ahead_ns={"a": 0, "b": 3_000_000}, rate={"a": 0.0, "b": rate}
    )


def test_a_drift_is_followed_and_said() -> None:
    clocked = drifting(30e-6)
    found = match(joint_run(clocked, [(0, 1, 2, 3)], 400, jitter_ns=500, seed=1), 4, clocked.host_of)
    assert found.clocks.clock.drift_ppm == pytest.approx(30, abs=2)
    assert any("ppm" in note for note in found.notes)
    assert worst_error_ns(clocked, found, 0) < 2 * US
    assert worst_error_ns(clocked, found, 300_000 * US) < 2 * US


def test_a_steady_clock_is_given_no_drift() -> None:
    clocked = drifting(0.0)
    found = match(joint_run(clocked, [(0, 1, 2, 3)], 400, jitter_ns=5000, seed=1), 4, clocked.host_of)
    assert found.clocks.clock.drift_ppm == 0
    assert {found.clocks.offset_ns[2] - found.clocks.offset_ns[3]} == {0}


def test_rank_0_may_be_missing() -> None:
    clocked = drifting(0.0)
    ranks = joint_run(clocked, [(0, 1, 2, 3), (1, 3)], 20, jitter_ns=500, seed=1)
    del ranks[0]
    found = match(ranks, 4, clocked.host_of)
    assert found.clocks.offset_ns[1] == 0
    assert found.clocks.offset_ns[2] == found.clocks.offset_ns[3] == pytest.approx(3_000_000, abs=US)
    assert [group.ranks for group in found.groups] == [(1, 3)]


@pytest.mark.parametrize("names", [None, "node"])
def test_ranks_that_never_meet_have_clocks_of_their_own_whatever_they_are_called(names: str | None) -> None:
    clocked = drifting(0.0)
    ranks = joint_run(clocked, [(0, 1, 2, 3)], 30, jitter_ns=500, seed=2)
    found = match(ranks, 4, dict.fromkeys(ranks, names))
    assert [found.clocks.offset_ns[rank] for rank in (0, 1)] == [0, 0]
    assert found.clocks.offset_ns[2] == pytest.approx(3_000_000, abs=US)
    assert any("clocks differ" in note for note in found.notes)


def test_broadcasts_say_nothing_of_clocks() -> None:
    hosts = {0: "a", 1: "b"}
    ranks = {rank: collectives([_broadcast(rank, number) for number in range(20)]) for rank in hosts}
    found = match(ranks, 2, hosts)
    assert found.clocks.clock.method == "unknown"
    (group,) = found.groups
    assert (len(group.calls), group.compared, int(group.wait_ns.sum())) == (20, False, 0)
    assert any("broadcast's root" in note for note in found.notes)


def _broadcast(rank: int, number: int) -> Made:
    start = number * 1000 * US + rank * 5_000 * US
    return Made(start=start, end=start + 60 * US + rank * 80 * US, signature=signature("broadcast"), seq=number)


def test_one_host_keeps_its_clock() -> None:
    clocked = Clocked(host_of={0: "a", 1: "a"}, ahead_ns={"a": 0}, rate={})
    found = match(joint_run(clocked, [(0, 1)], 10, jitter_ns=500, seed=1), 2, clocked.host_of)
    assert found.clocks.clock.method == "shared"
    offsets: Mapping[int, int] = found.clocks.offset_ns
    assert dict(offsets) == {0: 0, 1: 0}
