"""Gloo's calls that C++, the dispatcher and Python issue: each has the size, peer and site that the program gave it."""

import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.capturing import check, complaints, free_port, run
from tests.commands import traceana

PROGRAM = [sys.executable, "-m", "tests.integration.host_ranks"]
STEPS = 3
# Elements of the two layers, of which each rank of FSDP's holds a half.
FIRST, SECOND = 64 * 32, 32 * 8
COLLECTIVES = Counter(
    {
        ("allreduce", 10, 10): 1,
        ("allgather_into_tensor_coalesced", 6, 12): 1,
        ("reduce_scatter_tensor_coalesced", 8, 4): 1,
        ("all_to_all", 16, 16): 1,
        ("allreduce", 14, 14): 1,
        ("scatter", 6, 3): 1,
        ("gather", 3, 6): 1,
        ("allreduce", 11, 11): 1,
        ("barrier", 0, 0): 2,
        ("send", 5, 5): 1,
        ("recv", 5, 5): 1,
        ("allreduce", FIRST + SECOND, FIRST + SECOND): STEPS,
        # Forward and backward.
        ("_allgather_base", FIRST // 2, FIRST): 2 * STEPS,
        ("_allgather_base", SECOND // 2, SECOND): 2 * STEPS,
        ("_reduce_scatter_base", FIRST, FIRST // 2): STEPS,
        ("_reduce_scatter_base", SECOND, SECOND // 2): STEPS,
    }
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The captured program, which is issued no word and no other exit code."""
    path = tmp_path_factory.mktemp("host")
    code, stdout, stderr = run(path, [*PROGRAM, free_port()])
    assert (code, stdout, complaints(stderr)) == (0, "", [])
    check(path, stderr)
    return path / "run"


def spans(folder: Path, rank: int) -> list[dict[str, Any]]:
    with gzip.open(folder / f"rank{rank}.json.gz") as file:
        events: list[dict[str, Any]] = json.load(file)["traceEvents"]
    return sorted((event for event in events if event.get("cat") == "user_annotation"), key=lambda event: event["ts"])


def calls(folder: Path, rank: int) -> list[dict[str, Any]]:
    return [span["args"] for span in spans(folder, rank) if span["name"].startswith("gloo:")]


@pytest.mark.parametrize("rank", [0, 1])
def test_every_call_has_its_size(folder: Path, rank: int) -> None:
    found = Counter(
        (call["Collective name"], call["In msg nelems"], call["Out msg nelems"]) for call in calls(folder, rank)
    )
    # DDP compares and sends its parameters, and the layout of its buckets, as it likes.
    own = {key: number for key, number in found.items() if key[0] not in ("broadcast", "allgather")}
    assert own == COLLECTIVES + Counter({("send" if rank == 0 else "recv", 7, 7): 1})


def test_ranks_number_their_collectives_alike_and_name_their_peers(folder: Path) -> None:
    numbered = [
        [(call["Collective name"], call["Seq"]) for call in calls(folder, rank) if "Seq" in call] for rank in (0, 1)
    ]
    assert sorted(numbered[0]) == sorted(numbered[1])
    assert sorted(number for _, number in numbered[0]) == [*range(len(numbered[0]))]
    for rank in (0, 1):
        apart = [call for call in calls(folder, rank) if "Seq" not in call]
        assert {call["Collective name"] for call in apart} == {"send", "recv"}
        assert {call["Dst Rank" if call["Collective name"] == "send" else "Src Rank"] for call in apart} == {1 - rank}


def test_calls_know_the_bucket_or_the_module_that_issued_them(folder: Path) -> None:
    sites = Counter((call["Collective name"], call.get("traceana site")) for call in calls(folder, 0))
    assert sites["allreduce", "backward, DDP bucket"] == STEPS
    for module in (0, 1):
        assert sites["_allgather_base", f"FSDP::all_gather ({module})"] == 2 * STEPS
        assert sites["_reduce_scatter_base", f"FSDP::post_backward_reduce ({module})"] == STEPS
    assert sites["all_to_all", None] == sites["send", None] - 1 == 1


def test_steps_of_the_optimizer_have_spans_that_cross_no_other(folder: Path) -> None:
    found = spans(folder, 0)
    steps = [span for span in found if span["name"].startswith("step ")]
    # The first ends what began before there was an optimizer.
    assert [step["name"] for step in steps] == [f"step {number}" for number in range(1, 2 * STEPS)]
    for step in steps:
        begin, end = step["ts"], step["ts"] + step["dur"]
        mine = [span for span in found if span["tid"] == step["tid"] and span is not step]
        assert not [
            s for s in mine if s["ts"] < begin < s["ts"] + s["dur"] < end or begin < s["ts"] < end < s["ts"] + s["dur"]
        ]
    ends = [step["ts"] + step["dur"] for step in steps]
    assert ends[:-1] == pytest.approx([step["ts"] for step in steps[1:]], abs=0.01)


def test_analyze_knows_all_sizes_and_finds_the_steps(folder: Path, tmp_path: Path) -> None:
    traceana("analyze", folder, "-o", tmp_path)
    (run_,) = json.loads((tmp_path / "report.json").read_text())["runs"]
    assert run_["coverage"]["without_size"] == 0
    assert [step["name"] for step in run_["steps"]] == [f"step {number}" for number in range(1, 2 * STEPS)]
    (buckets,) = [site for site in run_["call_sites"] if site["site"] == "backward, DDP bucket"]
    assert (buckets["op"], buckets["message_bytes"]) == ("all_reduce", 4 * (FIRST + SECOND))
