"""`traceana analyze` on traces that others published; they are not ours to copy, so absent ones skip.

TRACEANA_PUBLIC_TRACES names the folder; by default it is looked for beside the project.
"""

import os
from pathlib import Path

import pytest

from tests.analysis import analyze, check_sums

ROOT = Path(__file__).parents[2]
PUBLIC = Path(os.environ.get("TRACEANA_PUBLIC_TRACES", ROOT / ".." / "shared" / "traces" / "public"))


def public(name: str) -> Path:
    """A published trace, or skip."""
    found = sorted(PUBLIC.glob(f"{name}*"))
    if not found:
        pytest.skip(f"no {name} in {PUBLIC}; set TRACEANA_PUBLIC_TRACES")
    return found[0]


@pytest.mark.parametrize(
    ("name", "percent", "comm_ns", "overlapped_ns"),
    [("a100-2r-rank0", 15.61, 46_876_493, 7_317_025), ("mi300-8r-rank0-rccl", 22.22, 71_516_523, 15_891_299)],
)
def test_overlap(tmp_path: Path, name: str, percent: float, comm_ns: int, overlapped_ns: int) -> None:
    run = analyze(tmp_path, public(name)).run
    (rank,) = run["ranks"]
    assert round(100 * rank["overlapped_comm_ns"] / rank["comm_ns"], 2) == percent
    assert (rank["comm_ns"], rank["overlapped_comm_ns"]) == (comm_ns, overlapped_ns)
    check_sums(run)


def test_rccl_keeps_kernels_without_metadata(tmp_path: Path) -> None:
    run = analyze(tmp_path, public("mi300-8r-rank0-rccl")).run
    assert run["ranks"][0]["comm_kernels"] == 17
    assert sum(operation["count"] for operation in run["operations"]) == 17
    assert run["coverage"]["without_size"] == 5
    assert {operation["library"] for operation in run["operations"]} == {"rccl"}
    assert (run["world_size"], len(run["missing_ranks"])) == (8, 7)


def test_multimem_is_communication(tmp_path: Path) -> None:
    run = analyze(tmp_path, public("b200-8r-rank0-multimem")).run
    (rank,) = run["ranks"]
    assert rank["comm_kernels"] == 73 + 1
    assert rank["comm_ns"] == 2_141_501
    (multimem,) = [operation for operation in run["operations"] if operation["library"] == "symm_mem"]
    assert (multimem["op"], multimem["count"]) == ("all_reduce", 73)
    assert multimem["duration_ns"]["sum"] == 2_119_548
    check_sums(run)


def test_a_gpu_that_waits_for_its_host_is_idle_in_the_host_s_operators(tmp_path: Path) -> None:
    """All 74 calls began within 20 µs of their launch on an idle GPU: the host sets the pace of the whole window."""
    (rank,) = analyze(tmp_path, public("b200-8r-rank0-multimem")).run["ranks"]
    assert (round(rank["span_ns"] / 1e6, 1), round(rank["idle_ns"] / 1e6, 1)) == (84.5, 72.9)
    assert rank["idle_by"]["host_behind_ns"] > 0.95 * rank["idle_ns"]
    assert rank["uncovered_by"]["nothing_launched_ns"] > 0.95 * rank["exposed_comm_ns"]
    places = rank["host_behind_in"]
    assert sum(place["ns"] for place in places) == rank["idle_by"]["host_behind_ns"]
    assert [(place["kind"], place["name"]) for place in places[:2]] == [
        ("operator", "vllm::moe_forward"),
        ("operator", "aten::linear"),
    ]
    assert "frame" in {place["kind"] for place in places}


def test_of_one_rank_s_calls_waiting_is_not_told_from_transfer(tmp_path: Path) -> None:
    for name in ("a100-2r-rank0", "b200-8r-rank0-multimem", "mi300-8r-rank0-rccl", "a100-16r-rank0-graphs"):
        (rank,) = analyze(tmp_path / name, public(name)).run["ranks"]
        assert rank["exposed_is"]["peer_ns"] == rank["exposed_is"]["unexplained_ns"] == 0
        assert rank["exposed_is"]["peer_or_transfer_ns"] > 0.1 * rank["exposed_comm_ns"]


def test_modules_of_a_trace_with_stacks_are_the_call_sites(tmp_path: Path) -> None:
    run = analyze(tmp_path, public("b200-8r-rank0-multimem")).run
    counts: dict[str, int] = {}
    for site in run["call_sites"]:
        counts[site["site"]] = counts.get(site["site"], 0) + site["count"]
    assert counts == {"RowParallelLinear": 36, "FusedMoE": 36, "VocabParallelEmbedding": 1, "LogitsProcessor": 1}


def test_cpu_only_trace(tmp_path: Path) -> None:
    outcome = analyze(tmp_path, public("rank-34"))
    assert outcome.exit_code == 0
    (rank,) = outcome.run["ranks"]
    assert (rank["rank"], rank["source"], outcome.run["world_size"]) == (34, "cpu", 300)
    assert rank["comm_ns"] > 0
    assert {operation["op"] for operation in outcome.run["operations"]} == {"all_reduce"}
    check_sums(outcome.run)


def test_cuda_graphs_of_16_ranks(tmp_path: Path) -> None:
    outcome = analyze(tmp_path, public("a100-16r-rank0-graphs"))
    assert outcome.exit_code == 0
    assert outcome.run["coverage"]["collectives"] > 0
    check_sums(outcome.run)
