"""Which calls of which ranks are one: pairs of sends and receives, lost calls, groups that nothing names."""

from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import replace

from tests.matching import US, Clocked, Made, collectives, joint_run, receive, send, signature
from traceana.analyze.collectives import Collectives
from traceana.analyze.match import match
from traceana.analyze.matched import Matching
from traceana.analyze.uneven import uneven_sizes
from traceana.trace.columns import Bools

HOSTS = dict.fromkeys(range(8), "node")


def waits(found: Matching, ranks: dict[int, Collectives]) -> dict[int, int]:
    return {rank: int(found.per_rank(rank, len(calls))[0].sum()) for rank, calls in ranks.items()}


def matched(found: Matching) -> int:
    return sum(group.calls.size for group in found.groups)


def pipeline(stages: int, batches: int, *, told: bool) -> dict[int, list[Made]]:
    """Each stage receives 30 µs before its sender comes, and both leave 20 µs after that."""
    group = tuple(range(stages))
    made: dict[int, list[Made]] = {rank: [] for rank in group}
    for batch in range(batches):
        for stage in range(stages - 1):
            at = (batch * 10 + stage) * 100 * US
            there, here = send(stage, stage + 1, group), receive(stage, stage + 1, group)
            if not told:
                there, here = replace(there, sends_to=()), replace(here, receives_from=())
            made[stage].append(Made(start=at, end=at + 20 * US, signature=there, seq=2 * batch))
            made[stage + 1].append(Made(start=at - 30 * US, end=at + 20 * US, signature=here, seq=batch))
    return made


@pytest.mark.parametrize("stages", [2, 4])
def test_a_receiver_waits_for_its_own_sender(stages: int) -> None:
    ranks = {rank: collectives(calls) for rank, calls in pipeline(stages, 6, told=True).items()}
    found = match(ranks, stages, HOSTS)
    assert matched(found) == 2 * 6 * (stages - 1)
    assert waits(found, ranks) == {0: 0, **dict.fromkeys(range(1, stages), 6 * 30 * US)}
    assert {group.ranks for group in found.groups} == {(stage, stage + 1) for stage in range(stages - 1)}
    assert set(found.clocks.offset_ns.values()) == {0}


def test_in_a_group_of_two_the_peer_is_the_other_rank() -> None:
    ranks = {rank: collectives(calls) for rank, calls in pipeline(2, 6, told=False).items()}
    assert matched(match(ranks, 2, HOSTS)) == 12


def test_sends_without_a_peer_are_not_guessed() -> None:
    ranks = {rank: collectives(calls) for rank, calls in pipeline(4, 6, told=False).items()}
    found = match(ranks, 4, HOSTS)
    assert matched(found) == 0
    assert any("36 of 36 point-to-point calls are not matched" in note for note in found.notes)


def test_a_lost_send_costs_its_pair_alone() -> None:
    made = pipeline(3, 6, told=True)
    del made[0][2]
    ranks = {rank: collectives(calls) for rank, calls in made.items()}
    found = match(ranks, 3, HOSTS)
    assert matched(found) == 22
    assert waits(found, ranks) == {0: 0, 1: 5 * 30 * US, 2: 6 * 30 * US}


def test_a_send_may_be_over_before_its_receiver_comes() -> None:
    group = (0, 1)
    out = [Made(start=i * 100 * US, end=i * 100 * US + 5 * US, signature=send(0, 1, group)) for i in range(5)]
    back = [Made(start=call.end + 40 * US, end=call.end + 50 * US, signature=receive(0, 1, group)) for call in out]
    ranks = {0: collectives(out), 1: collectives(back)}
    found = match(ranks, 2, HOSTS)
    assert matched(found) == 10
    assert waits(found, ranks) == {0: 0, 1: 0}


def test_a_ring_in_one_kernel_each_waits_for_its_own_peers() -> None:
    group = (0, 1, 2, 3)
    arrivals = np.array([[0, 10, 20, 90], [5, 0, 0, 0]]) * US
    ranks = {}
    for rank in group:
        peers = replace(send(rank, (rank + 1) % 4, group), receives_from=((rank - 1) % 4,))
        ranks[rank] = collectives(
            [
                Made(
                    start=step * 1000 * US + int(arrivals[step, rank]),
                    end=step * 1000 * US + 200 * US,
                    signature=peers,
                )
                for step in range(2)
            ]
        )
    found = match(ranks, 4, HOSTS)
    (exchange,) = found.groups
    assert exchange.ranks == group
    assert (exchange.wait_ns // US).tolist() == [[90, 10, 70, 0], [0, 5, 0, 5]]


def joint(
    group: Sequence[int], calls: int, *, begin: int = 0, named: bool = True, period: int = 100
) -> list[list[Made]]:
    """Calls of one group by rank: the last rank is 20 µs late, and all leave together."""
    made: list[list[Made]] = [[] for _ in group]
    kind = signature(group=tuple(group) if named else None)
    for number in range(calls):
        at = (begin + number * period) * US + number % 3 * 7 * US
        for place in range(len(group)):
            late = 20 * US if place == len(group) - 1 else 0
            made[place].append(Made(start=at + late, end=at + 60 * US, signature=kind))
    return made


@pytest.mark.parametrize("lost", [0, 7, 19])
@pytest.mark.parametrize("by", [1, 3])
def test_a_lost_call_costs_that_call_on_all_ranks(lost: int, by: int) -> None:
    made = joint(range(4), 20)
    del made[by][lost]
    ranks = {rank: collectives(calls) for rank, calls in enumerate(made)}
    found = match(ranks, 4, HOSTS)
    assert matched(found) == 76
    assert waits(found, ranks) == {0: 19 * 20 * US, 1: 19 * 20 * US, 2: 19 * 20 * US, 3: 0}


@pytest.mark.parametrize("behind", [100, 7_000])
def test_calls_without_a_group_are_matched_among_ranks_that_leave_together(behind: int) -> None:
    made = [*joint((0, 1), 20, named=False), *joint((2, 3), 20, named=False, begin=behind, period=113)]
    ranks = {rank: collectives(calls) for rank, calls in enumerate(made)}
    found = match(ranks, 4, dict.fromkeys(ranks, None))
    assert {group.ranks for group in found.groups} == {(0, 1), (2, 3)}
    assert waits(found, ranks) == {0: 400 * US, 1: 0, 2: 400 * US, 3: 0}
    assert set(found.clocks.offset_ns.values()) == {0}


def test_a_size_that_no_set_of_ranks_has_leaves_calls_unmatched() -> None:
    made = joint(range(4), 10, named=False)
    ranks = {
        rank: collectives([replace(call, signature=replace(call.signature, group_size=2)) for call in calls])
        for rank, calls in enumerate(made)
    }
    found = match(ranks, 4, HOSTS)
    assert matched(found) == 0
    assert any("of 2 ranks" in note for note in found.notes)


def test_a_group_with_a_name_alone_is_made_of_the_ranks_that_name_it() -> None:
    made = [*joint((0, 1), 5), *joint((2, 3), 5)]
    ranks = {
        rank: collectives(
            [replace(call, signature=replace(call.signature, group=None, group_name=str(rank // 2))) for call in calls]
        )
        for rank, calls in enumerate(made)
    }
    assert {group.ranks for group in match(ranks, 4, HOSTS).groups} == {(0, 1), (2, 3)}


def test_a_stated_size_that_contradicts_the_list_is_named() -> None:
    made = joint(range(4), 5)
    ranks = {
        rank: collectives([replace(call, signature=replace(call.signature, group_size=2)) for call in calls])
        for rank, calls in enumerate(made)
    }
    (note,) = match(ranks, 4, HOSTS).notes
    assert "a size of 2, but it is made of 4 ranks" in note


def test_sizes_that_differ_by_rank_are_one_collective() -> None:
    made = joint((0, 1), 5)
    sent = ((100, 300), (500, 100))
    ranks = {
        rank: collectives(
            [
                replace(
                    call,
                    signature=replace(
                        signature("all_to_all", (0, 1), size=sum(sent[rank])),
                        sent_bytes=sum(sent[rank]),
                        received_bytes=sent[0][rank] + sent[1][rank],
                        sent_by_rank=sent[rank],
                    ),
                )
                for call in calls
            ]
        )
        for rank, calls in enumerate(made)
    }
    found = match(ranks, 2, HOSTS)
    assert matched(found) == 10
    (row,) = uneven_sizes(ranks, found)
    assert row.sent is not None
    assert row.received is not None
    assert (row.sent.by_rank, row.sent.imbalance) == ((2000, 3000), 1.2)
    assert (row.received.least, row.received.most) == (2000, 3000)
    assert row.matrix == ((500, 1500), (2500, 500))
    assert row.busbw_gbps == pytest.approx(600 / 40_000 / 2)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_lost_calls_on_unlike_clocks_make_no_wrong_pair(seed: int, named: bool) -> None:
    host_of = {0: "a", 1: "a", 2: "b", 3: "b"}
    clocked = Clocked(host_of=host_of, ahead_ns={"a": 0, "b": 400 * US + seed * 700 * US}, rate={"b": 1e-5})
    whole = joint_run(clocked, [(0, 1, 2, 3), (0, 2), (2, 3)], 40, jitter_ns=1000, seed=seed)
    random = np.random.default_rng(seed)
    ranks = {rank: _without_numbers(calls, random.random(len(calls)) > 0.03) for rank, calls in whole.items()}
    number = {
        rank: dict(zip(calls.start_ns.tolist(), calls.seq.tolist(), strict=True)) for rank, calls in whole.items()
    }
    found = match(ranks, 4, host_of if named else dict.fromkeys(host_of))
    for group in found.groups:
        numbers = [
            [number[rank][int(ranks[rank].start_ns[index])] for index in group.calls[:, place].tolist()]
            for place, rank in enumerate(group.ranks)
        ]
        assert all(column == numbers[0] for column in numbers)
    assert matched(found) >= 0.85 * sum(map(len, ranks.values()))
    assert found.clocks.offset_ns[2] == pytest.approx(clocked.ahead_ns["b"], abs=3 * US)


def _without_numbers(calls: Collectives, kept: Bools) -> Collectives:
    return replace(
        calls,
        start_ns=calls.start_ns[kept],
        end_ns=calls.end_ns[kept],
        exposed_ns=calls.exposed_ns[kept],
        seq=np.full(int(kept.sum()), -1, dtype=np.int64),
        signature=calls.signature[kept],
        site=calls.site[kept],
    )


def test_the_order_in_which_ranks_come_does_not_matter() -> None:
    made = [*joint((0, 1), 20, named=False), *joint((2, 3), 20, begin=100)]
    ranks = {rank: collectives(calls) for rank, calls in enumerate(made)}
    one, other = match(ranks, 4, HOSTS), match(dict(reversed(ranks.items())), 4, HOSTS)
    assert [group.ranks for group in one.groups] == [group.ranks for group in other.groups]
    assert waits(one, ranks) == waits(other, ranks)
    assert one.notes == other.notes
