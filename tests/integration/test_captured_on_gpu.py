"""Traces that `traceana capture` left on a GPU: every backend's calls are known as well as torch.distributed's."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.analysis import Outcome, analyze, check_sums

H100 = Path(__file__).parents[1] / "traces" / "h100"
BFLOAT16 = 2
EAGER = {
    ("broadcast", 32768 * BFLOAT16): 8,
    ("all_gather", 2 * 131072 * BFLOAT16): 8,
    ("all_to_all", 786432 * BFLOAT16): 24,
    ("all_to_all", 262144 * BFLOAT16): 24,
    ("all_reduce", 262144 * BFLOAT16): 24,
}
"""Calls of both ranks: 4 steps of 3 layers."""
GRAPH = {
    ("all_reduce", 1048576 * BFLOAT16): 10,
    ("all_gather", 2 * 65536 * BFLOAT16): 10,
    ("all_to_all", 786432 * BFLOAT16): 10,
}
"""Calls of both ranks: 1 eager step and 4 replays."""
PYNCCL_START = {("all_reduce", 4): 2}
"""The communicator tries itself with one float."""


def calls(run: Any) -> dict[tuple[str, int | None], int]:
    counted: Counter[tuple[str, int | None]] = Counter()
    for operation in run["operations"]:
        counted[operation["op"], operation["message_bytes"]] += operation["count"]
    return dict(counted)


@pytest.fixture(scope="module", params=[("torch-2r", "pynccl-2r", EAGER), ("torch-2r-graph", "pynccl-2r-graph", GRAPH)])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Any]:
    torch, pynccl, expected = request.param
    return analyze(tmp_path_factory.mktemp("pair"), H100 / torch, H100 / pynccl), expected


def test_operations_and_sizes_are_the_same_on_both_sides(pair: tuple[Outcome, Any]) -> None:
    outcome, expected = pair
    torch, pynccl = outcome.report["runs"]
    assert calls(torch) == expected
    assert calls(pynccl) == expected | PYNCCL_START
    assert (torch["backend"], pynccl["backend"]) == ("torch.distributed", "pynccl")


def test_every_call_is_matched_across_ranks(pair: tuple[Outcome, Any]) -> None:
    for run in pair[0].report["runs"]:
        check_sums(run)
        assert run["coverage"]["matched"] == run["coverage"]["collectives"]
        assert run["coverage"]["without_size"] == 0


def test_every_operation_is_compared_at_its_size(pair: tuple[Outcome, Any]) -> None:
    outcome, expected = pair
    (comparison,) = outcome.report["comparisons"]
    assert {(row["op"], row["message_bytes"]) for row in comparison["rows"]} == set(expected)


def test_a_communicator_that_tries_itself_out_does_not_make_the_comparison_unfair(pair: tuple[Outcome, Any]) -> None:
    (comparison,) = pair[0].report["comparisons"]
    assert (comparison["comparable"], comparison["reasons"]) == (True, [])
    assert len(comparison["only_candidate"]) == 1


def test_bus_bandwidth_is_known_for_pynccl(pair: tuple[Outcome, Any]) -> None:
    _, pynccl = pair[0].report["runs"]
    assert all(operation["busbw_gbps"] > 0 for operation in pynccl["operations"] if operation["op"] != "broadcast")
    assert {operation["library"] for operation in pynccl["operations"]} == {"nccl"}


@pytest.mark.parametrize(
    ("label", "backend", "library"),
    [("symmetric-2r", "symmetric memory", "symm_mem"), ("custom-2r", "custom all-reduce", "custom")],
)
def test_calls_past_nccl_are_known_also_in_a_graphs_replays(
    label: str, backend: str, library: str, tmp_path: Path
) -> None:
    (run,) = analyze(tmp_path, H100 / label).report["runs"]
    check_sums(run)
    assert calls(run) == {("all_reduce", 4096 * BFLOAT16): 16, ("all_reduce", 65536 * BFLOAT16): 16}
    assert (run["backend"], run["coverage"]["matched"], run["coverage"]["without_size"]) == (backend, 32, 0)
    assert {operation["library"] for operation in run["operations"]} == {library}
    assert all(operation["busbw_gbps"] > 0 for operation in run["operations"])
