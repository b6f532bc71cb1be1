"""Ranks, hosts and times from the names that programs and people give to traces."""

from pathlib import Path

import pytest

from traceana.trace.file_names import host, ranks_by_number, stated_rank, stem, time_stamp


@pytest.mark.parametrize(
    ("name", "rank"),
    [
        ("rank0", 0),
        ("rank_12", 12),
        ("trace_rank[3]", 3),
        ("global_rank1-step5", 1),
        ("globalrank7", 7),
        ("Rank-2", 2),
        ("node0_local_rank1_rank9", 9),
        ("local_rank_0_global_rank_8", 8),
        ("dp0_pp0_tp1_dcp0_ep1_rank5.1773709742341309551", 5),
        ("frank_123.1700000000000000000", None),
        ("local_rank3", None),
        ("tp_rank_2", None),
        ("dp_rank0_tp_rank1", None),
        ("rank1_of_rank2", None),
        ("rank1000000000000", None),
        ("worker_3", None),
    ],
)
def test_a_rank_that_a_name_states(name: str, rank: int | None) -> None:
    assert stated_rank(name) == rank


@pytest.mark.parametrize(
    ("names", "ranks"),
    [
        (["1700000000.5-TP-0", "1700000000.5-TP-1"], [0, 1]),
        (["1700000000.5-TP-3-EXTEND", "1700000000.5-TP-5-EXTEND"], [3, 5]),
        (["r0-17", "r1-17", "r2-17"], [0, 1, 2]),
        (["8gpu_worker2", "8gpu_worker0", "8gpu_worker1"], [2, 0, 1]),
        (["t-TP-0-DP-0-EP-0", "t-TP-1-DP-0-EP-1"], [0, 1]),
        (["t-TP-0-DP-0", "t-TP-1-DP-0", "t-TP-2-DP-1", "t-TP-3-DP-1"], [0, 1, 2, 3]),
        (["TP-0-PP-0", "TP-1-PP-0", "TP-0-PP-1", "TP-1-PP-1"], [0, 1, 2, 3]),
        (["step_10_worker_0", "step_20_worker_0", "step_10_worker_1", "step_20_worker_1"], [0, 0, 1, 1]),
        (["worker_4242", "worker_4243"], None),
        (["node_0_gpu_0", "node_0_gpu_1", "node_1_gpu_0", "node_1_gpu_1"], None),
        (["left", "right"], None),
        (["part5", "part7"], None),
    ],
)
def test_the_number_that_differs(names: list[str], ranks: list[int] | None) -> None:
    found = ranks_by_number(names, [None] * len(names))
    assert found == (None if ranks is None else tuple(ranks))


def test_a_number_that_agrees_with_what_is_known() -> None:
    assert ranks_by_number(["a7_p40", "a8_p41", "a9_p39"], [7, None, 9]) == (7, 8, 9)
    assert ranks_by_number(["a7_p40", "a8_p41", "a9_p39"], [3, None, None]) is None


def test_a_number_among_the_ranks_that_the_files_name() -> None:
    assert ranks_by_number(["worker4", "worker6"], [None, None], peers={4, 5, 6, 7}) == (4, 6)
    assert ranks_by_number(["worker4", "worker8"], [None, None], peers={4, 5, 6, 7}) is None


@pytest.mark.parametrize(
    ("name", "rank", "expected"),
    [
        ("gpu_node0_100.1700000000000000000.pt.trace.json", 0, "gpu_node0"),
        ("ip-10-0-0-1.ec2.internal_77.1700000000000.pt.trace.json.gz", 3, "ip-10-0-0-1.ec2.internal"),
        ("worker-0_4242.1700000000000000000.pt.trace.json", 0, "worker-0"),
        ("rank_0.1700000000000000000.pt.trace.json", 0, None),
        ("rank3_4242.1700000000000000000.pt.trace.json", 3, None),
        ("worker_1.1700000000000000000.pt.trace.json", 1, None),
        ("gpu_1.1700000000000000000.pt.trace.json", 1, None),
        ("rank0.json", 0, None),
        ("dp0_pp0_tp0_dcp0_ep0_rank0.1773709742341309550.pt.trace.json.gz", 0, None),
    ],
)
def test_hosts(name: str, rank: int, expected: str | None) -> None:
    assert host(name, rank) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a_1.1700000000000000001.pt.trace.json", 1700000000000000001),
        ("a_1.1700000000123.pt.trace.json", 1700000000123000000),
        ("1700000000.5-TP-0.trace.json.gz", 1700000000500000000),
        ("1700000000-TP-0.trace.json.gz", 1700000000000000000),
        ("rank0.json", None),
    ],
)
def test_times(name: str, expected: int | None) -> None:
    assert time_stamp(stem(Path(name))) == expected
