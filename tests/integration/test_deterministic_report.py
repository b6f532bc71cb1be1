"""The same input gives the same report, whatever the order of sets and however many processes read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import traceana
from tests.synthetic import Call, Run, write_run

RING = tuple((rank, (rank + 1) % 8) for rank in range(8))
PAIRS = tuple((rank, rank + 1) for rank in range(0, 8, 2))
RUN = Run(
    world_size=8,
    calls=(
        Call(op="all_reduce", nelems=1 << 20, delays_ns={5: 90_000}),
        Call(op="all_gather", nelems=1 << 18, groups=((0, 1, 4, 5), (2, 3, 6, 7))),
        Call(op="reduce_scatter", nelems=1 << 19, groups=PAIRS, overlap_ns=40_000),
        Call(op="send_recv", nelems=1 << 16, pairs=RING),
        Call(op="broadcast", nelems=1 << 12),
    ),
    steps=3,
    host_clocks_ns=(0, 1_000_000),
    end_jitter_ns=4_000,
    named_hosts=False,
)


def report(folder: Path, traces: Path, *, workers: int) -> str:
    traceana("analyze", traces, "-o", folder, "--workers", str(workers))
    return (folder / "report.json").read_text()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The traces, and the report of one process with whatever hash seed this one has."""
    folder = tmp_path_factory.mktemp("same")
    write_run(folder / "traces", RUN)
    return folder / "traces", report(folder / "report", folder / "traces", workers=1)


@pytest.mark.parametrize("seed", [1, 2])
def test_report_is_the_same_for_every_hash_seed(first: tuple[Path, str], tmp_path: Path, seed: int) -> None:
    traces, expected = first
    command = [sys.executable, "-m", "traceana", "analyze", str(traces), "-o", str(tmp_path), "--workers", "1"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": str(seed)})
    assert (tmp_path / "report.json").read_text() == expected


def test_report_is_the_same_for_two_workers(first: tuple[Path, str], tmp_path: Path) -> None:
    traces, expected = first
    assert report(tmp_path, traces, workers=2) == expected
