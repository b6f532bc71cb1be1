"""`--paired` from the program to the report, with a stand-in for PyNccl on gloo."""

import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.analysis import Outcome, analyze
from tests.capturing import finish, free_port, launch
from tests.integration import paired_ranks
from traceana.trace.paired import read_paired_calls

# The first of a size is not measured.
CALLS = paired_ranks.CALLS
PAIRS = CALLS - 1


# Where no GPU is needed.
CAPTURE = """
import runpy
from unittest import mock
checks = "traceana_capture.launcher.backends.check_"
with mock.patch(checks + "machine"), mock.patch(checks + "program"):
    runpy.run_module("traceana", run_name="__main__", alter_sys=True)
"""


def captured(folder: Path, *how: str) -> Path:
    command = [sys.executable, "-m", paired_ranks.__name__, free_port(), *how]
    options = ("--backend", "torch", "--paired", "all_reduce", "--paired", "all_to_all")
    process = launch(folder, command, *options, launcher=("-c", CAPTURE))
    code, _, stderr = finish(process, folder)
    assert code == 0, stderr
    return folder / "run"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return captured(tmp_path_factory.mktemp("paired"))


@pytest.fixture(scope="module")
def outcome(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return analyze(tmp_path_factory.mktemp("report"), folder)


def collectives(folder: Path, rank: int) -> list[dict[str, Any]]:
    trace = json.loads(gzip.decompress((folder / f"rank{rank}.json.gz").read_bytes()))
    return [event for event in trace["traceEvents"] if "Collective name" in event.get("args", {})]


def test_each_rank_measures_every_call_on_both_backends_in_alternating_order(folder: Path) -> None:
    calls = read_paired_calls(folder).calls
    assert [(call.number, call.first) for call in calls[:PAIRS]] == [
        (number, "torch" if number % 2 == 0 else "pynccl") for number in range(PAIRS)
    ]
    assert Counter((call.op, call.message_bytes, call.dtype, call.baseline, call.candidate) for call in calls) == {
        ("all_reduce", 1024, "float32", "torch", "pynccl"): 2 * PAIRS
    }
    assert all(call.candidate_ns > 20_000_000 for call in calls)


def test_the_trace_holds_the_programs_own_calls_only(folder: Path) -> None:
    for rank in range(2):
        sized = Counter(event["args"]["Collective name"] for event in collectives(folder, rank))
        assert sized == {"allreduce": CALLS, "broadcast": 1, "all_to_all": 1}


def test_the_report_judges_the_pairs_and_names_results_that_differ(outcome: Outcome) -> None:
    (row,) = outcome.run["paired"]
    assert (row["op"], row["message_bytes"], row["pairs"], row["disagreeing"]) == ("all_reduce", 1024, PAIRS, 1)
    assert row["pynccl_p50_ns"] == row["candidate_p50_ns"] > 20_000_000
    assert (row["baseline"], row["candidate"]) == ("torch.distributed", "pynccl")
    assert row["ci_low"] < row["speedup"] < row["ci_high"]
    assert row["verdict"] in ("slower", "cannot tell")
    assert "1 differ" in outcome.html


def test_the_markdown_summary_has_the_pairs(folder: Path, tmp_path: Path) -> None:
    outcome = analyze(tmp_path, folder, "--format", "md")
    lines, verdict = outcome.stdout.splitlines(), outcome.run["paired"][0]["verdict"]
    (row,) = [line for line in lines if line.startswith("| run | all\\_reduce")]
    assert row.split("|")[3:8] == [" torch.distributed ", " pynccl ", f" {verdict} ", " 1\xa0KiB ", f" {PAIRS} "]


def test_run_json_counts_pairs_and_a_backend_that_cannot_ends_the_pairing_alone(folder: Path) -> None:
    run = json.loads((folder / "run.json").read_text())
    assert (run["exit_code"], run["backend"]["paired"]) == (0, ["all_reduce", "all_to_all"])
    assert run["backend"]["pairs"] == 2 * PAIRS


def test_a_run_that_pairs_slowed_is_compared_with_none(folder: Path, tmp_path: Path) -> None:
    others = Path(__file__).parents[1] / "traces" / "h100"
    report = analyze(tmp_path, folder, others / "torch-2r", others / "pynccl-2r").report
    assert [run["label"] for run in report["runs"]] == ["run", "torch", "pynccl"]
    assert [(pair["baseline"], pair["candidate"]) for pair in report["comparisons"]] == [("torch", "pynccl")]


def test_ranks_whose_windows_do_not_end_together_pair_together(tmp_path: Path) -> None:
    run = json.loads((captured(tmp_path, "alone") / "run.json").read_text())
    assert run["backend"]["pairs"] == 2 * PAIRS
    assert "the program started its own profiler" in [rank["reason"] for rank in run["ranks"]]
