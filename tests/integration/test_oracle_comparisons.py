"""A comparison's rows against steady calls counted and timed by hand."""

from pathlib import Path
from typing import Any

import pytest

from tests.analysis import analyze
from tests.oracle.comparisons import agrees, consistent, row_figures
from tests.oracle.figures import read_run
from tests.synthetic import Call, Run, write_run

PAIRS = ((0, 1), (2, 3))
STEP = "denoise_step"


def run_of(transfer_ns: int, seed: int) -> Run:
    calls = (
        Call(op="all_reduce", nelems=1 << 20, transfer_ns=transfer_ns, overlap_ns=60_000),
        Call(op="all_reduce", nelems=1 << 20, groups=PAIRS, delays_ns={3: 40_000}),
        Call(op="all_to_all", nelems=1 << 18),
    )
    return Run(world_size=4, calls=calls, steps=7, seed=seed, end_jitter_ns=900)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("sides")
    for side, transfer_ns in (("a", 300_000), ("b", 200_000)):
        for number in (1, 2, 3):
            write_run(folder / f"{side}.{number}", run_of(transfer_ns, seed=number + ord(side)))
    return folder, analyze(folder / "report", *(folder / f"{s}.{n}" for s in "ab" for n in (1, 2, 3))).report


@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_rows_are_of_steady_calls(report: tuple[Path, Any], side: str) -> None:
    folder, found = report
    (comparison,) = found["comparisons"]
    runs = [
        read_run(sorted((folder / label).glob("rank*")), lambda _rank, at: at) for label in comparison[f"{side}_runs"]
    ]
    by_hand = row_figures(runs, STEP, side)
    rows = {(row["op"], row["message_bytes"], row["group_size"]): row for row in comparison["rows"]}
    assert rows.keys() == by_hand.keys()
    assert [key for key, figures in by_hand.items() if not agrees(figures, rows[key])] == []


def test_rows_follow_from_their_own_figures(report: tuple[Path, Any]) -> None:
    (comparison,) = report[1]["comparisons"]
    assert [row["op"] for row in comparison["rows"] if not consistent(row)] == []
    assert {row["verdict"] for row in comparison["rows"] if row["group_size"] == 4 and row["op"] == "all_reduce"} == {
        "faster"
    }
