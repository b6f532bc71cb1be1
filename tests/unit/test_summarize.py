"""Waits, stragglers and operations tell warm-up from the steady state."""

from pathlib import Path
from typing import Any

import pytest

from tests.analysis import analyze
from tests.synthetic import Call, Run, Truth, write_run

STEPS = 5
TWICE = Run(
    world_size=4,
    calls=(
        Call(op="all_to_all", nelems=3 << 20, transfer_ns=500_000, delays_ns={2: 400_000}),
        Call(op="all_reduce", nelems=1 << 20, transfer_ns=200_000, delays_ns={1: 150_000}),
        Call(op="all_to_all", nelems=3 << 20, transfer_ns=500_000, delays_ns={0: 100_000}),
    ),
    steps=STEPS,
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Truth]:
    folder: Path = tmp_path_factory.mktemp("steady")
    truth = write_run(folder / "traces", TWICE)
    return analyze(folder / "report", folder / "traces").run, truth


@pytest.mark.parametrize(("op", "a_step"), [("all_to_all", 2), ("all_reduce", 1)])
def test_waits_of_the_first_step_stand_apart(told: tuple[Any, Truth], op: str, a_step: int) -> None:
    run, truth = told
    for rank in range(4):
        (cell,) = [one for one in run["waits"] if (one["rank"], one["op"]) == (rank, op)]
        waited = truth.waits(rank, op)
        assert (cell["calls"], cell["wait_ns"]) == (STEPS * a_step, sum(waited))
        assert (cell["warm_up_calls"], cell["warm_up_wait_ns"]) == (a_step, sum(waited[:a_step]))


def test_stragglers_of_the_first_step_stand_apart(told: tuple[Any, Truth]) -> None:
    run, truth = told
    for straggler in run["stragglers"]:
        rank = straggler["rank"]
        assert straggler["wait_caused_ns"] == truth.wait_caused_ns(rank)
        early = [call for call in truth.calls[: len(TWICE.calls)] if call.last_rank == rank]
        assert straggler["warm_up_times_last"] == len(early)
        assert straggler["warm_up_wait_caused_ns"] == sum(call.wait_ns(peer) for call in early for peer in range(4))


def test_a_site_and_a_comparison_take_the_same_calls(told: tuple[Any, Truth]) -> None:
    run, truth = told
    (site,) = [one for one in run["call_sites"] if one["op"] == "all_reduce"]
    steady = [call for call in truth.calls if call.op == "all_reduce"][1:]
    longest = sorted(max(call.transfer_ns(rank) for rank in call.arrivals) for call in steady)
    assert site["transfer_p50_ns"] == longest[(len(longest) - 1) // 2]
    assert site["count"] == 4 * STEPS


def test_steady_calls_of_an_operation(told: tuple[Any, Truth]) -> None:
    run, truth = told
    (row,) = [one for one in run["operations"] if one["op"] == "all_to_all"]
    transfers = truth.transfers("all_to_all", row["message_bytes"])[4 * 2 :]
    assert (row["count"], row["steady"]["count"]) == (4 * 2 * STEPS, 4 * 2 * (STEPS - 1))
    assert row["steady"]["transfer_ns"]["sum"] == sum(transfers)
    assert row["steady"]["busbw_gbps"] == pytest.approx(
        row["message_bytes"] / row["steady"]["transfer_ns"]["p50"] * 3 / 4
    )
