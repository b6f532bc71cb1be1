"""Ranks that set up pairs together, of which one cannot: nobody waits for it, and the program goes on."""

import json
from typing import Any

import pytest

from tests.capturing import free_port
from tests.integration import agreeing_ranks
from tests.warm import Process

# By rank and case.
Seen = dict[int, dict[str, dict[str, Any]]]
SET_UP = ["room", "allocate", "share", "issue"]


@pytest.fixture(scope="module")
def said() -> tuple[str, str]:
    process = Process(["-m", agreeing_ranks.__name__, free_port()])
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output, errors


@pytest.fixture(scope="module")
def ranks(said: tuple[str, str]) -> Seen:
    return dict(json.loads(line) for line in said[0].splitlines())


def test_the_first_call_of_a_kind_and_what_was_let_go_since_are_set_up_and_not_measured(ranks: Seen) -> None:
    measured = ["room", "issue"]
    for rank in range(2):
        seen = ranks[rank][""]
        assert seen["did"] == [*SET_UP, *measured, *SET_UP, *measured]
        assert seen["measured"] == [[0, True], [1, True]]
        assert seen["ended"] == ""


@pytest.mark.parametrize("stage", ["room", "allocate", "issue"])
def test_what_one_rank_cannot_do_alone_ends_the_pairs_of_all_before_anything_is_shared(ranks: Seen, stage: str) -> None:
    done = SET_UP[: SET_UP.index(stage) + 1]
    assert (ranks[0][stage]["did"], ranks[1][stage]["did"]) == (done, done)
    assert (ranks[0][stage]["ended"], ranks[1][stage]["ended"]) == ("", f"MemoryError('none for {stage}')")
    assert [ranks[rank][stage]["measured"] for rank in range(2)] == [[], []]
    assert [ranks[rank][stage]["peers"] for rank in range(2)] == [0, 0]


def test_who_waits_for_a_rank_that_failed_in_an_exchange_stops_at_its_bound(ranks: Seen) -> None:
    assert ranks[1]["share"]["ended"] == "MemoryError('none for share')"
    assert "Error" in ranks[0]["share"]["ended"]
    assert [ranks[rank]["share"]["measured"] for rank in range(2)] == [[], []]


def test_each_failure_is_said_once_where_it_happened(said: tuple[str, str]) -> None:
    lines = [line for line in said[1].splitlines() if "--paired ended" in line]
    assert [stage for line in lines for stage in SET_UP if f"none for {stage}" in line] == SET_UP
    assert len(lines) == len(SET_UP) + 1, "one more is from the rank that waited"


def test_the_windows_end_lets_go_of_all_that_was_set_up(ranks: Seen) -> None:
    assert {seen["left"] for rank in range(2) for seen in ranks[rank].values()} == {0}


def test_memory_for_a_call_is_given_back_at_its_end_however_it_ended(ranks: Seen) -> None:
    assert {seen["rooms"] for rank in range(2) for seen in ranks[rank].values()} == {0}


def test_what_was_set_up_is_the_programs_memory_again_as_soon_as_one_rank_cannot(ranks: Seen) -> None:
    for rank in range(2):
        assert {stage: ranks[rank][stage]["kept"] for stage in SET_UP} == dict.fromkeys(SET_UP, [0] * 4)
        assert ranks[rank][""]["kept"] == [2] * 4
