"""`traceana analyze` on real traces of an H200, against what tests/traces/h200/README.md says is in them."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.analysis import OUTPUTS, Outcome, analyze, check_sums

H200 = Path(__file__).parents[1] / "traces" / "h200"
MIB = 1 << 20
TORCH_CALLS = {
    ("all_to_all", 12 * MIB): 32,
    ("all_to_all", 4 * MIB): 32,
    ("all_reduce", 4 * MIB): 32,
    ("all_gather", MIB // 2): 40,
    ("broadcast", MIB // 16): 8,
}
"""Calls of both ranks of torch-2r: 16 of each all-to-all a rank, and so on."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return analyze(tmp_path_factory.mktemp("pair"), H200 / "torch-2r", H200 / "pynccl-2r")


@pytest.fixture(scope="module")
def straggler(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return analyze(tmp_path_factory.mktemp("straggler"), H200 / "torch-4r-straggler2")


def broadcasts_in_files() -> list[dict[int, int]]:
    """Start in ns of each broadcast on each rank, read without the tool."""
    starts = []
    for rank in range(4):
        content = gzip.decompress((H200 / "torch-4r-straggler2" / f"rank{rank}.json.gz").read_bytes())
        events = [event for event in json.loads(content)["traceEvents"] if event.get("cat") == "kernel"]
        starts.append([round(e["ts"] * 1000) for e in events if e["args"].get("Collective name") == "broadcast"])
    return [dict(enumerate(sorted_starts)) for sorted_starts in zip(*map(sorted, starts), strict=True)]


def broadcasts_in_output(outcome: Outcome) -> list[dict[int, int]]:
    """The same from the tool's own table, each collective's ranks brought together by the tool."""
    found: dict[Any, dict[int, int]] = {}
    for call in outcome.calls:
        if call["op"] == "broadcast":
            found.setdefault(call["collective"], {})[call["rank"]] = call["start_ns"]
    return sorted(found.values(), key=lambda starts: min(starts.values()))


def test_writes_three_files(pair: Outcome) -> None:
    assert pair.exit_code == 0
    assert sorted(path.name for path in pair.folder.iterdir()) == sorted(OUTPUTS)
    assert [run["label"] for run in pair.report["runs"]] == ["torch-2r", "pynccl-2r"]
    assert pair.report["schema_version"] == 1


def test_torch_calls_by_operation_and_size(pair: Outcome) -> None:
    run = pair.report["runs"][0]
    counts = {(operation["op"], operation["message_bytes"]): operation["count"] for operation in run["operations"]}
    assert counts == TORCH_CALLS
    assert {operation["group_size"] for operation in run["operations"]} == {2}
    assert {operation["library"] for operation in run["operations"]} == {"nccl"}
    assert {operation["dtype"] for operation in run["operations"]} == {"BFloat16"}


@pytest.mark.parametrize("index", [0, 1])
def test_72_communication_kernels_a_rank(pair: Outcome, index: int) -> None:
    run = pair.report["runs"][index]
    assert [(rank["rank"], rank["comm_kernels"], rank["kernels"]) for rank in run["ranks"]] == [
        (0, 72, 360),
        (1, 72, 360),
    ]
    check_sums(run)


def test_torch_matches_all(pair: Outcome) -> None:
    coverage = pair.report["runs"][0]["coverage"]
    assert (coverage["collectives"], coverage["matched"], coverage["without_size"]) == (144, 144, 0)
    assert coverage["skipped_events"] == 0
    assert len({call["collective"] for call in pair.calls if call["run"] == "torch-2r"}) == 72


def test_pynccl_operations_are_named_and_sizes_unknown(pair: Outcome) -> None:
    run = pair.report["runs"][1]
    counts = Counter[str]()
    for operation in run["operations"]:
        counts[operation["op"]] += operation["count"]
        assert operation["message_bytes"] is None
        assert operation["busbw_gbps"] is None
    # One kernel of NCCL serves point-to-point and all-to-all.
    assert counts["send_recv"] + counts["all_to_all"] == 64
    assert (counts["all_reduce"], counts["all_gather"], counts["broadcast"]) == (32, 40, 8)
    assert run["coverage"]["without_size"] == 144


def test_backends_are_told_apart(pair: Outcome) -> None:
    torch, pynccl = pair.report["runs"]
    assert torch["backend"] != pynccl["backend"]
    assert torch["backends_seen"] == [torch["backend"]]


def test_side_stream_gather_is_partly_covered(pair: Outcome) -> None:
    for rank in pair.report["runs"][0]["ranks"]:
        assert 0 < rank["overlapped_comm_ns"] < rank["compute_ns"]


def test_comparison_says_that_sizes_are_missing(pair: Outcome) -> None:
    (comparison,) = pair.report["comparisons"]
    assert (comparison["baseline"], comparison["candidate"]) == ("torch-2r", "pynccl-2r")
    assert any("size" in reason for reason in comparison["reasons"])
    assert {"all_reduce", "all_gather", "broadcast"} <= {row["op"] for row in comparison["rows"]}


def test_calls_are_told_by_the_span_that_issued_them(pair: Outcome) -> None:
    for run in pair.report["runs"]:
        counts: dict[tuple[str, str], int] = {}
        for site in run["call_sites"]:
            key = site["site"], site["op"]
            counts[key] = counts.get(key, 0) + site["count"]
        all_to_all = "all_to_all" if run["label"] == "torch-2r" else "send_recv"
        assert counts == {
            ("denoise_step", "broadcast"): 8,
            ("denoise_step", "all_gather"): 40,
            ("UlyssesAttention", all_to_all): 64,
            ("RowParallelLinear", "all_reduce"): 32,
        }


def test_user_spans_are_counted(pair: Outcome) -> None:
    for run in pair.report["runs"]:
        spans = {span["name"]: span for span in run["spans"]}
        assert spans["denoise_step"]["count"] == 8
        assert spans["UlyssesAttention"]["count"] == spans["RowParallelLinear"]["count"] == 32
        assert len(spans["denoise_step"]["instances"]) == 4
        assert spans["UlyssesAttention"]["comm_ns"] < spans["denoise_step"]["comm_ns"]


def test_straggler_arrives_last_at_the_broadcasts(straggler: Outcome) -> None:
    truth = broadcasts_in_files()
    found = broadcasts_in_output(straggler)
    assert [max(starts, key=lambda rank: starts[rank]) for starts in found] == [0, 2, 2, 2]
    for true, seen in zip(truth, found, strict=True):
        assert {rank: start - seen[0] for rank, start in seen.items()} == {
            r: start - true[0] for r, start in true.items()
        }
    assert [round((starts[2] - starts[0]) / 1e6, 2) for starts in found[1:]] == [7.87, 7.86, 7.86]
    assert round((found[0][0] - found[0][1]) / 1e6) == 171


def test_straggler_run_is_whole(straggler: Outcome) -> None:
    run = straggler.run
    assert (run["coverage"]["collectives"], run["coverage"]["matched"]) == (4 * 44, 4 * 44)
    assert run["clock"]["method"] == "shared"
    assert {rank["clock_offset_ns"] for rank in run["ranks"]} == {0}
    check_sums(run)


def test_nobody_waits_longer_than_a_call_lasts(straggler: Outcome) -> None:
    for call in straggler.calls:
        assert 0 <= call["wait_ns"] <= call["duration_ns"]
        assert call["wait_ns"] + call["transfer_ns"] == call["duration_ns"]


@pytest.mark.parametrize(("name", "ranks"), [("torch-2r-graph", 2), ("pynccl-2r-graph", 2), ("pynccl-4r", 4)])
def test_kernels_without_metadata_are_all_counted(tmp_path: Path, name: str, ranks: int) -> None:
    run = analyze(tmp_path, H200 / name).run
    assert [rank["comm_kernels"] for rank in run["ranks"]] == [44] * ranks
    assert [rank["kernels"] for rank in run["ranks"]] == [188] * ranks
    assert run["coverage"]["without_size"] == run["coverage"]["collectives"] == 44 * ranks
    assert "unknown" not in {operation["op"] for operation in run["operations"]}
    check_sums(run)


def test_processes_give_the_same_numbers(tmp_path: Path, straggler: Outcome) -> None:
    assert analyze(tmp_path, H200 / "torch-4r-straggler2", workers=2).run == straggler.run


def test_the_summary_is_printed_as_markdown_alone(tmp_path: Path) -> None:
    outcome = analyze(tmp_path, H200 / "torch-2r", H200 / "pynccl-2r", "--format", "md")
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith("### pynccl-2r against torch-2r\n")
    assert "| all\\_reduce | all |" in outcome.stdout
    assert "- Message sizes (pynccl-2r: 144 of 144 calls)." in outcome.stdout
    assert "report: " not in outcome.stdout
    assert f"report: {tmp_path / 'report.html'}" in outcome.stderr
    assert all((tmp_path / name).exists() for name in OUTPUTS)


def test_the_report_is_printed_as_json_alone(tmp_path: Path) -> None:
    outcome = analyze(tmp_path, H200 / "torch-2r", "--format", "json")
    assert json.loads(outcome.stdout) == json.loads((tmp_path / "report.json").read_bytes())
    assert f"report: {tmp_path / 'report.html'}" in outcome.stderr


def facts_of(outcome: Outcome) -> set[str]:
    return {line.split("  ")[0] for line in outcome.stdout.splitlines()}


def test_the_terminal_shows_the_runs_at_a_glance(pair: Outcome) -> None:
    """Peers' steady waits, of 1.74 ms, are below what is left between the clocks: no rank is late, none is named."""
    facts = {"typical step", "exposed", "which is", "not covered because", "costs most, 1", "costs most, 3"}
    assert facts <= facts_of(pair)
    assert "late rank" not in facts_of(pair)
    assert "--at worst-wait" not in pair.stdout


def test_the_terminal_names_the_late_rank_and_where_to_look(straggler: Outcome) -> None:
    assert "late rank" in facts_of(straggler)
    assert f"  traceana open {H200 / 'torch-4r-straggler2'} --at worst-wait" in straggler.stdout


def test_the_strip_names_its_calls(pair: Outcome) -> None:
    strip = pair.report["runs"][0]["timeline"]
    for row in strip["rows"]:
        calls = row["calls"]
        assert [call["start_ns"] for call in calls] == sorted(call["start_ns"] for call in calls)
        assert {call["op"] for call in calls} >= {"all_to_all", "all_reduce"}
        assert all(0 <= call["start_ns"] < call["end_ns"] <= strip["duration_ns"] for call in calls)
        assert all(call["wait_ns"] is not None for call in calls)
        communication = sum(part["end_ns"] - part["start_ns"] for part in row["slices"] if part["kind"] != "compute")
        assert sum(call["end_ns"] - call["start_ns"] for call in calls) == pytest.approx(communication, rel=0.02)


def test_buckets_leave_out_the_warm_up_that_operations_leave_out(straggler: Outcome) -> None:
    run = straggler.run
    for op in {bucket["op"] for bucket in run["buckets"]}:
        steady = [one["steady"]["count"] for one in run["operations"] if one["op"] == op and one["steady"]]
        of_op = [bucket for bucket in run["buckets"] if bucket["op"] == op and bucket["scheme"] == "powers"]
        assert sum(bucket["steady"]["count"] for bucket in of_op if bucket["steady"]) == sum(steady)
        assert sum(bucket["count"] for bucket in of_op) > sum(steady) > 0


def test_calls_lie_beside_a_site_s_own_figures(tmp_path: Path) -> None:
    site = tmp_path / "alltoall.txt"
    site.write_text(
        "# nThread 1 nGpus 2 minBytes 1 maxBytes 1 step: 1(bytes) warmup iters: 1 iters: 20 agg iters: 1 graph: 0\n"
        "#  Rank  0 Group  0 Pid  7 on  vm device  0 [0x06] NVIDIA H200\n"
        "#  Rank  1 Group  0 Pid  7 on  vm device  1 [0x07] NVIDIA H200\n"
        "12582912 3145728 bfloat16 none -1 41.00 306 153 0 42.00 299 149 N/A\n"
    )
    outcome = analyze(tmp_path / "out", H200 / "torch-2r", "--bench", site)
    bench = outcome.run["bench"]
    (benched,) = bench["benched"]
    assert (benched["op"], benched["message_bytes"], benched["bench_ns"]) == ("all_to_all", 12 * MIB, 41_000)
    assert benched["share"] == pytest.approx(41_000 / benched["duration_ns"])
    assert benched["share"] + benched["waiting"] + benched["contention"] == pytest.approx(1)
    assert {(one["op"], one["message_bytes"]) for one in bench["unbenched"]} == set(TORCH_CALLS) - {
        ("all_to_all", 12 * MIB)
    }
    said = outcome.stdout.replace("\u00a0", " ")
    assert "all_to_all 12 MiB runs at" in said
    assert "traceana bench --ranks 2 --op all_reduce -b 4M -e 4M --dtype bfloat16" in said
    assert "Beside the bench" in outcome.html
