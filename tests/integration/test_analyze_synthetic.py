"""`traceana analyze` on runs with a planted truth: waits, transfers, stragglers, clocks and matching are recovered."""

from pathlib import Path
from typing import Any

import pytest

from tests.analysis import analyze, check_sums, figures
from tests.synthetic import Call, Run, Truth, write_run

STRAGGLER = 2
CALLS = (
    Call(op="broadcast", nelems=1 << 15, transfer_ns=60_000, delays_ns={STRAGGLER: 400_000}),
    Call(op="all_gather", nelems=1 << 20, transfer_ns=120_000, overlap_ns=100_000),
    Call(op="all_to_all", nelems=3 << 20, transfer_ns=500_000, overlap_ns=250_000),
    Call(op="all_to_all", nelems=1 << 20, transfer_ns=200_000),
    Call(op="all_reduce", nelems=1 << 21, transfer_ns=350_000, delays_ns={1: 150_000}),
)
PERIOD = len(CALLS)
FOUR = Run(world_size=4, calls=CALLS, steps=6)
SIXTY_FOUR = Run(world_size=64, calls=CALLS, steps=4)
END_JITTER_NS = 2_000


def both(folder: Path, run: Run) -> tuple[Any, Truth]:
    """Write a run and analyze it."""
    truth = write_run(folder / "traces", run)
    found = figures(folder / "traces")
    check_sums(found)
    return found, truth


def check_everything(run: Any, truth: Truth, tolerance_ns: int) -> None:
    """All that was planted: counts exactly, times within a tolerance a call."""
    assert run["coverage"]["collectives"] == truth.collectives
    assert run["coverage"]["matched"] == truth.matched
    check_ranks(run, truth)
    check_waits(run, truth, tolerance_ns)
    check_transfers(run, truth, tolerance_ns)
    check_stragglers(run, truth, tolerance_ns)


def check_ranks(run: Any, truth: Truth) -> None:
    """Needs no common clock, so always exact."""
    assert [rank["rank"] for rank in run["ranks"]] == sorted(truth.ranks)
    for rank in run["ranks"]:
        expected = truth.ranks[rank["rank"]]
        for key in ("span_ns", "compute_ns", "comm_ns", "overlapped_comm_ns", "memory_ns", "kernels", "comm_kernels"):
            assert rank[key] == getattr(expected, key), key


def check_waits(run: Any, truth: Truth, tolerance_ns: int) -> None:
    found = {(wait["rank"], wait["op"]): wait for wait in run["waits"]}
    for rank in truth.ranks:
        for op in {call.op for call in CALLS}:
            waits = truth.waits(rank, op)
            if waits:
                assert found[rank, op]["calls"] == len(waits)
                assert found[rank, op]["wait_ns"] == pytest.approx(sum(waits), abs=tolerance_ns * len(waits))


def check_transfers(run: Any, truth: Truth, tolerance_ns: int) -> None:
    for operation in run["operations"]:
        transfers = truth.transfers(operation["op"], operation["message_bytes"])
        assert operation["matched"] == len(transfers)
        if transfers:
            distribution = operation["transfer_ns"]
            assert distribution["min"] == pytest.approx(min(transfers), abs=tolerance_ns)
            assert distribution["max"] == pytest.approx(max(transfers), abs=tolerance_ns)
            assert distribution["sum"] == pytest.approx(sum(transfers), abs=tolerance_ns * len(transfers))


def check_stragglers(run: Any, truth: Truth, tolerance_ns: int) -> None:
    found = {straggler["rank"]: straggler for straggler in run["stragglers"]}
    for rank in truth.ranks:
        times_last = found[rank]["times_last"] if rank in found else 0
        caused = found[rank]["wait_caused_ns"] if rank in found else 0
        peers = tolerance_ns * len(truth.ranks) * len(truth.matched_calls)
        # Arrivals closer than the tolerance may change places.
        if tolerance_ns == 0:
            assert times_last == truth.times_last(rank)
        assert caused == pytest.approx(truth.wait_caused_ns(rank), abs=peers)


def test_the_command_writes_these_figures(tmp_path: Path) -> None:
    found, _ = both(tmp_path, FOUR)
    outcome = analyze(tmp_path / "report", tmp_path / "traces")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.run == found


@pytest.mark.parametrize("run", [FOUR, SIXTY_FOUR], ids=["4 ranks", "64 ranks"])
def test_one_host_is_exact(tmp_path: Path, run: Run) -> None:
    found, truth = both(tmp_path, run)
    check_everything(found, truth, tolerance_ns=0)
    assert found["clock"]["method"] == "shared"
    assert found["missing_ranks"] == []
    assert {rank["clock_offset_ns"] for rank in found["ranks"]} == {0}


def test_ends_that_scatter(tmp_path: Path) -> None:
    found, truth = both(tmp_path, Run(world_size=4, calls=CALLS, end_jitter_ns=END_JITTER_NS))
    check_everything(found, truth, tolerance_ns=0)


def test_straggler_stands_out(tmp_path: Path) -> None:
    found, _ = both(tmp_path, FOUR)
    worst = max(found["stragglers"], key=lambda straggler: straggler["wait_caused_ns"])
    assert worst["rank"] == STRAGGLER
    assert worst["times_last"] >= FOUR.steps


@pytest.mark.parametrize(
    ("world_size", "offset_ns"), [(4, 3_000_000), (4, -7_777_777), (4, 1_500_000_000), (64, -7_777_777)]
)
def test_two_hosts_offset_is_found(tmp_path: Path, world_size: int, offset_ns: int) -> None:
    run = Run(world_size=world_size, calls=CALLS, host_clocks_ns=(0, offset_ns), end_jitter_ns=END_JITTER_NS)
    found, truth = both(tmp_path, run)
    clock = found["clock"]
    assert clock["method"] == "collectives"
    assert 0 <= clock["residual_ns"] <= END_JITTER_NS
    for rank in found["ranks"]:
        expected = truth.ranks[rank["rank"]].clock_offset_ns
        assert rank["clock_offset_ns"] == pytest.approx(expected, abs=END_JITTER_NS)
    check_everything(found, truth, tolerance_ns=2 * END_JITTER_NS)


def test_small_offset_between_named_hosts_is_found(tmp_path: Path) -> None:
    """Calls still overlap, so only the file names tell that there are two clocks."""
    run = Run(world_size=4, calls=CALLS, host_clocks_ns=(0, 40_000))
    found, truth = both(tmp_path, run)
    assert [rank["clock_offset_ns"] for rank in found["ranks"]] == [0, 0, 40_000, 40_000]
    check_everything(found, truth, tolerance_ns=0)


def test_hosts_that_nothing_names(tmp_path: Path) -> None:
    """Ranks that were never inside a collective together cannot share a clock."""
    run = Run(world_size=4, calls=CALLS, host_clocks_ns=(0, 50_000_000), named_hosts=False)
    found, truth = both(tmp_path, run)
    assert [rank["clock_offset_ns"] for rank in found["ranks"]] == [0, 0, 50_000_000, 50_000_000]
    assert found["clock"]["method"] == "collectives"
    check_everything(found, truth, tolerance_ns=0)


def test_four_hosts(tmp_path: Path) -> None:
    run = Run(world_size=8, calls=CALLS, host_clocks_ns=(0, 2_000_000, -5_000_000, 90_000_000))
    found, truth = both(tmp_path, run)
    offsets = [rank["clock_offset_ns"] for rank in found["ranks"]]
    assert offsets == [0, 0, 2_000_000, 2_000_000, -5_000_000, -5_000_000, 90_000_000, 90_000_000]
    check_everything(found, truth, tolerance_ns=0)


@pytest.mark.parametrize("late_rank", [0, 1, 3])
@pytest.mark.parametrize("missed", [1, 3, PERIOD, PERIOD + 2, 2 * PERIOD])
def test_late_window_on_one_host(tmp_path: Path, late_rank: int, missed: int) -> None:
    """Whole periods shift without a change in the order of operations: only the clock can tell."""
    found, truth = both(tmp_path, Run(world_size=4, calls=CALLS, steps=6, late_windows={late_rank: missed}))
    check_everything(found, truth, tolerance_ns=0)
    assert truth.collectives - truth.matched == 3 * missed


@pytest.mark.parametrize("missed", [1, 3, PERIOD - 1])
def test_late_window_on_two_hosts(tmp_path: Path, missed: int) -> None:
    """The order of operations tells, up to a period."""
    run = Run(world_size=4, calls=CALLS, steps=6, host_clocks_ns=(0, 3_000_000), late_windows={3: missed})
    found, truth = both(tmp_path, run)
    check_everything(found, truth, tolerance_ns=0)


@pytest.mark.parametrize("missed", [2, PERIOD, PERIOD + 3])
def test_late_window_with_sequence_numbers(tmp_path: Path, missed: int) -> None:
    """Numbers tell always, even across clocks that are a second apart."""
    run = Run(
        world_size=4,
        calls=CALLS,
        host_clocks_ns=(0, -1_000_000_000),
        late_windows={1: missed},
        sequence_numbers=True,
    )
    found, truth = both(tmp_path, run)
    check_everything(found, truth, tolerance_ns=0)


def test_windows_that_open_one_after_another(tmp_path: Path) -> None:
    late = {rank: rank % 5 for rank in range(64)}
    found, truth = both(tmp_path, Run(world_size=64, calls=CALLS, steps=4, late_windows=late))
    check_everything(found, truth, tolerance_ns=0)
    assert truth.matched == 64 * (4 * PERIOD - 4)


def test_missing_file_of_the_world(tmp_path: Path) -> None:
    found, truth = both(tmp_path, Run(world_size=4, calls=CALLS, missing_ranks=frozenset({1})))
    check_everything(found, truth, tolerance_ns=0)
    assert found["missing_ranks"] == [1]
    assert found["world_size"] == 4
    assert truth.matched == 0
    assert all(operation["transfer_ns"] is None for operation in found["operations"])


def test_missing_file_leaves_other_groups_alone(tmp_path: Path) -> None:
    groups = ((0, 1, 2, 3), (4, 5, 6, 7))
    calls = (*CALLS[:2], Call(op="all_reduce", nelems=1 << 21, groups=groups, delays_ns={6: 100_000}))
    found, truth = both(tmp_path, Run(world_size=8, calls=calls, missing_ranks=frozenset({1})))
    check_everything(found, truth, tolerance_ns=0)
    assert truth.matched == 4 * 4
    assert {wait["rank"] for wait in found["waits"] if wait["calls"]} == {4, 5, 6, 7}


def test_groups_of_tensor_parallel_ranks(tmp_path: Path) -> None:
    rows = tuple(tuple(range(start, start + 4)) for start in (0, 4))
    columns = tuple((rank, rank + 4) for rank in range(4))
    calls = (
        Call(op="all_reduce", nelems=1 << 21, groups=rows, delays_ns={5: 90_000}),
        Call(op="all_to_all", nelems=1 << 20, groups=columns, delays_ns={2: 70_000}),
        Call(op="all_gather", nelems=1 << 18),
    )
    found, truth = both(tmp_path, Run(world_size=8, calls=calls))
    check_everything(found, truth, tolerance_ns=0)
    sizes = {(operation["op"], operation["group_size"]) for operation in found["operations"]}
    assert sizes == {("all_reduce", 4), ("all_to_all", 2), ("all_gather", 8)}


def test_bandwidth_is_that_of_nccl_tests(tmp_path: Path) -> None:
    found, _ = both(tmp_path, FOUR)
    rows = {(operation["op"], operation["message_bytes"]): operation for operation in found["operations"]}
    factors = {"all_reduce": 2 * 3 / 4, "all_gather": 3 / 4, "all_to_all": 3 / 4, "broadcast": 1.0}
    for call in CALLS:
        operation = rows[call.op, call.message_bytes]
        assert operation["bandwidth_basis"] == "transfer"
        assert operation["algbw_gbps"] == pytest.approx(call.message_bytes / call.transfer_ns)
        assert operation["busbw_gbps"] == pytest.approx(factors[call.op] * call.message_bytes / call.transfer_ns)


def test_bases_that_differ(tmp_path: Path) -> None:
    """A file's times count from its own baseTimeNanoseconds."""
    found, truth = both(tmp_path, Run(world_size=4, calls=CALLS, bases_differ=True))
    check_everything(found, truth, tolerance_ns=0)
    assert found["clock"]["method"] == "shared"
