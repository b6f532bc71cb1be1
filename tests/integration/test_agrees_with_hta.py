"""`traceana analyze` against HolisticTraceAnalysis, on traces where both count the same kernels.

HTA rounds every start up and every end down to whole µs, so its sums may differ by 2 µs a kernel; told not to round,
it agrees to the ns. Left out: CUDA-graph traces, which HTA 0.5 cannot load on pandas 3, and kernels that it takes
for compute or drops.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.analysis import analyze
from tests.hta_numbers import numbers
from tests.synthetic import Call, Run, write_run

pytest.importorskip("hta")

H200 = Path(__file__).parents[1] / "traces" / "h200"
CALLS = (
    Call(op="all_to_all", nelems=3 << 20, transfer_ns=500_000, overlap_ns=470_000),
    Call(op="all_reduce", nelems=1 << 21, delays_ns={1: 150_000}, overlap_ns=90_000),
)


def compare(rank: Any, theirs: dict[str, float], slack_us: float) -> None:
    """Ours in ns, theirs in µs and %."""
    compared = {
        "idle_time(us)": rank["idle_ns"],
        "compute_time(us)": rank["compute_ns"],
        "non_compute_time(us)": rank["exposed_comm_ns"] + rank["exposed_memory_ns"],
        "kernel_time(us)": rank["span_ns"],
    }
    for key, ns in compared.items():
        assert ns / 1000 == pytest.approx(theirs[key], abs=slack_us), key
    percent = 100 * rank["overlapped_comm_ns"] / rank["comm_ns"]
    slack_percent = 100 * slack_us / (rank["comm_ns"] / 1000)
    assert percent == pytest.approx(theirs["comp_comm_overlap_pctg"], abs=0.006 + slack_percent)


def check(folder: Path, report: Path, *, rounding: bool) -> list[Any]:
    files = sorted(folder.glob("*.json.gz"))
    ranks: list[Any] = analyze(report, folder).run["ranks"]
    for rank, theirs in zip(ranks, numbers(files, rounding=rounding), strict=True):
        # A double at these time stamps is good for about 1 ns, and so is each of its sums.
        compare(rank, theirs, slack_us=2 * rank["kernels"] if rounding else 0.01)
    return ranks


@pytest.mark.parametrize("name", ["torch-2r", "pynccl-2r", "torch-4r-straggler2"])
def test_real_traces_to_the_ns(tmp_path: Path, name: str) -> None:
    check(H200 / name, tmp_path, rounding=False)


def test_real_traces_within_its_rounding(tmp_path: Path) -> None:
    check(H200 / "torch-2r", tmp_path, rounding=True)


def test_synthetic_traces_with_much_overlap(tmp_path: Path) -> None:
    write_run(tmp_path / "run", Run(world_size=2, calls=CALLS, memory_ns=20_000))
    ranks = check(tmp_path / "run", tmp_path / "report", rounding=False)
    assert min(rank["overlapped_comm_ns"] / rank["comm_ns"] for rank in ranks) > 0.4
