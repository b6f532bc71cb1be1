"""`with traceana.capture(folder)` in a program: exactly the block is recorded, on each rank, as capture would."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from traceana_capture import runfile
from traceana_capture.parts import join
from traceana_capture.runfile import FoundRun

import traceana
from tests.capturing import free_port
from tests.warm import Process

INNER = "is not recorded: another block is, and this one counts as part of it"
EARLY = re.compile(r"rank [01]: the window closed early after .* s, because the program started its own profiler; .*")
BUSY = "the program's own profiler was running"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of a program that goes on undisturbed, whatever becomes of its blocks."""
    path = tmp_path_factory.mktemp("blocks")
    process = Process(["-m", "tests.integration.block_ranks", str(path), free_port()])
    stdout, stderr = process.communicate()
    said = sorted(line.removeprefix("traceana: ") for line in stderr.splitlines())
    assert process.wait() == 0, stderr
    refused = (
        f"{path / 'second'} holds a run already; name another one, or replace it by --force (force=True in Python)"
    )
    # Its own profilers saw their calls.
    assert sorted(stdout.splitlines()) == [refused, refused, "1", "1", "1", "1"]
    assert said[:2] == [f"{path / 'inner'} {INNER}"] * 2
    assert said[2:4] == [f"no trace of rank {rank}: {BUSY}" for rank in (0, 1)]
    assert [bool(EARLY.fullmatch(line)) for line in said[4:]] == [True, True], said
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def run_file(folder: Path) -> FoundRun:
    return join([runfile.read(path) for path in runfile.files(folder)])


def sizes(folder: Path, rank: int) -> list[tuple[str, int]]:
    with gzip.open(folder / f"rank{rank}.json.gz") as file:
        events = json.load(file)["traceEvents"]
    calls = sorted((event for event in events if "Collective name" in event.get("args", {})), key=lambda one: one["ts"])
    return [(call["args"]["Collective name"], call["args"]["In msg nelems"]) for call in calls]


@pytest.mark.parametrize(
    ("name", "calls"), [("first", [("allreduce", 10), ("broadcast", 4)]), ("second", [("allreduce", 20)])]
)
def test_a_rank_records_its_block_and_nothing_else(folder: Path, name: str, calls: list[tuple[str, int]]) -> None:
    assert [sizes(folder / name, rank) for rank in (0, 1)] == [calls, calls]
    assert names(folder / name) == {"rank0.json.gz", "rank1.json.gz", "run.rank0.json", "run.rank1.json"}


def test_each_rank_leaves_its_part_of_one_run(folder: Path) -> None:
    first, second = (run_file(folder / name) for name in ("first", "second"))
    ended = ("complete", "the block ended")
    assert [(rank.rank, rank.outcome, rank.reason) for rank in first.ranks] == [(0, *ended), (1, *ended)]
    assert (first.label, first.world_size, first.exit_code) == ("first", 2, 0)
    assert first.backend.seen == ("torch.distributed",)
    assert (second.exit_code, second.ranks[0].reason) == (1, "the block raised an exception")
    assert first.launch == second.launch is not None


def test_an_analysis_reads_it(folder: Path) -> None:
    run = traceana.read(folder / "first", workers=1)
    assert (run.report.world_size, run.report.coverage.matched) == (2, 4)
    assert set(run.calls["message_bytes"]) == {40, 16}


def test_a_block_beside_the_programs_own_profiler_has_no_trace(folder: Path) -> None:
    """The earlier run of the folder, which it replaces, is gone."""
    assert {rank.reason for rank in run_file(folder / "given").ranks} == {BUSY}
    assert names(folder / "given") == {"run.rank0.json", "run.rank1.json"}


def test_a_program_without_torch_distributed_is_rank_0_of_1(folder: Path) -> None:
    run = traceana.read(folder / "alone", workers=1)
    assert (run.report.world_size, len(run.calls)) == (1, 0)


def test_a_process_that_leaves_in_the_block_leaves_its_trace(folder: Path) -> None:
    (rank,) = run_file(folder / "cut").ranks
    assert (rank.outcome, rank.reason) == ("complete", "the process ended")
    assert names(folder) == {"first", "second", "given", "alone", "cut"}


FORKED = """
import os, sys, torch, traceana
def fork():
    child = os.fork()
    if not child:
        sys.exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
with traceana.capture(sys.argv[1]):
    torch.ones(8) + 1
    inside = fork()
print(inside, fork())
"""


def test_a_child_that_is_forked_in_a_block_or_after_it_ends_as_it_wants_to(tmp_path: Path) -> None:
    """Not as a fork of the tests' own: those end without the destructors that would wait here."""
    command = [sys.executable, "-c", FORKED, str(tmp_path / "forked")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "7 7\n"), done.stderr
    assert names(tmp_path / "forked") == {"rank0.json.gz", "run.json"}
