"""The order of a sweep's runs, what fails, what is limited, and what a kill or a full disk leaves."""

import os
import random
from pathlib import Path
from unittest import mock

import pytest

from tests.sweeping import HEAD, Simulated, axis, go, plan, two_by_two
from traceana.errors import TraceanaError
from traceana.sweep import journal as journals
from traceana.sweep.cells import cells
from traceana.sweep.journal import Head, Record, opened, read
from traceana.sweep.order import Kind, Turn, turns
from traceana.sweep.plan import Limits
from traceana.sweep.series import Progress


class Killed(BaseException):
    """What stands for SIGKILL: nothing of ours handles it."""


def test_blocks_hold_each_cell_once_in_an_order_of_their_own() -> None:
    found = cells(two_by_two())
    schedule = turns(found, 3, 0, traced=True)
    blocks = [schedule[start : start + 4] for start in range(0, 20, 4)]
    assert [{turn.cell.label for turn in block} for block in blocks] == [{cell.label for cell in found}] * 5
    assert [{(turn.kind, turn.repeat) for turn in block} for block in blocks] == [
        *({(Kind.TIMED, repeat)} for repeat in range(4)),
        {(Kind.TRACED, 1)},
    ]
    assert len({tuple(turn.cell.label for turn in block) for block in blocks[:4]}) > 1


def test_more_repeats_leave_the_earlier_blocks_as_they_were() -> None:
    found = cells(two_by_two())
    assert turns(found, 5, 0, traced=False)[:16] == turns(found, 3, 0, traced=False)
    assert turns(found, 3, 1, traced=False) != turns(found, 3, 0, traced=False)


def test_each_turn_runs_once(tmp_path: Path) -> None:
    runner = Simulated(lambda cell: 100)
    assert go(tmp_path, two_by_two(), runner, traced=True) is None
    assert len(runner.ran) == len(set(runner.ran)) == 20
    assert go(tmp_path, two_by_two(), runner, traced=True) is None
    assert len(runner.ran) == 20


@pytest.mark.parametrize("seed", range(5))
def test_a_sweep_that_is_killed_again_and_again_comes_to_the_same_records(tmp_path: Path, seed: int) -> None:
    whole, chance = Simulated(lambda cell: 100), random.Random(seed)
    go(tmp_path / "whole", two_by_two(), whole)
    counted: list[tuple[str, str, int]] = []

    class Dying(Simulated):
        def __call__(self, turn: Turn) -> Record:
            if chance.random() < 0.3:
                raise Killed
            counted.append(turn.key)
            return super().__call__(turn)

    for _ in range(100):
        try:
            go(tmp_path / "killed", two_by_two(), Dying(lambda cell: 100))
            break
        except Killed:
            continue
    assert len(counted) == len(set(counted)) == 16
    assert read(tmp_path / "killed") == read(tmp_path / "whole")


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_half_a_line_does_not_count(tmp_path: Path, cut: int) -> None:
    go(tmp_path, two_by_two(), Simulated(lambda cell: 100))
    file = tmp_path / journals.NAME
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    assert len(read(tmp_path)) == 15
    again = Simulated(lambda cell: 100)
    go(tmp_path, two_by_two(), again)
    assert len(again.ran) == 1
    assert file.read_bytes() == whole


def test_a_full_disk_costs_the_last_run_and_nothing_else(tmp_path: Path) -> None:
    runner, write = Simulated(lambda cell: 100), os.write
    full = [False]

    def half_written(descriptor: int, line: bytes) -> int:
        if not full[0]:
            return write(descriptor, line)
        if len(line) > 20:
            return write(descriptor, line[:20])
        raise OSError(28, "No space left on device")

    def run(turn: Turn) -> Record:
        full[0] = len(runner.ran) == 7
        return runner(turn)

    with (
        mock.patch("traceana.sweep.journal.os.write", half_written),
        pytest.raises(TraceanaError, match="No space left"),
    ):
        go(tmp_path, two_by_two(), run)
    assert len(runner.ran) == 8
    assert len(read(tmp_path)) == 7
    go(tmp_path, two_by_two(), runner)
    assert len(runner.ran) == 17
    assert len(read(tmp_path)) == 16


def test_a_failed_run_is_tried_once_more(tmp_path: Path) -> None:
    runner = Simulated(lambda cell: 100)
    runner.fails = lambda turn: runner.ran.count(turn.title) == 1 and turn.title == "size=2 nccl=plain, repeat 1"
    go(tmp_path, two_by_two(), runner)
    assert len(runner.ran) == 17
    assert sum(record.failure is None for record in read(tmp_path)) == 16


def test_a_cell_that_fails_twice_is_left_and_the_sweep_goes_on(tmp_path: Path) -> None:
    runner = Simulated(lambda cell: 100)
    runner.fails = lambda turn: turn.cell.choice("nccl") == "no-p2p" and turn.repeat == 1
    go(tmp_path, two_by_two(), runner, traced=True)
    found = read(tmp_path)
    failed = [record for record in found if record.failure]
    assert sorted(record.cell for record in failed) == ["size=1 nccl=no-p2p"] * 2 + ["size=2 nccl=no-p2p"] * 2
    assert {record.last_lines for record in failed} == {("out of memory",)}
    assert sum(record.cell == "size=1 nccl=plain" for record in found) == 5


def test_a_trace_that_fails_leaves_the_times(tmp_path: Path) -> None:
    runner = Simulated(lambda cell: 100)
    runner.fails = lambda turn: turn.kind is Kind.TRACED
    go(tmp_path, plan(axis("size", "1")), runner, traced=True)
    assert [record.failure for record in read(tmp_path)] == [None] * 4 + ["exit code 3"] * 2


def test_progress_says_how_long_it_will_take(tmp_path: Path) -> None:
    said: list[Progress] = []
    go(tmp_path, plan(axis("size", "1", "2")), Simulated(lambda cell: 100, spread=0), said=said)
    assert [one.number for one in said] == list(range(1, 9))
    assert [one.left_ns and one.left_ns // 1_000_000 for one in said] == [None, 700, 600, 500, 400, 300, 200, 100]


@pytest.mark.parametrize(
    ("limits", "ran", "reason"),
    [
        (Limits(whole_s=0.45), 4, "the time limit of 450"),
        (Limits(gpu_hours=6 * 0.1 / 3600), 3, "GPU hours"),
    ],
)
def test_a_limit_ends_the_sweep_before_the_run_that_would_pass_it(
    tmp_path: Path, limits: Limits, ran: int, reason: str
) -> None:
    runner = Simulated(lambda cell: 100, spread=0)
    ended = go(tmp_path, plan(axis("size", "1", "2"), gpus="2"), runner, limits=limits)
    assert ended is not None
    assert reason in ended
    assert len(runner.ran) == ran


def test_another_sweep_does_not_go_on_here(tmp_path: Path) -> None:
    go(tmp_path, two_by_two(), Simulated(lambda cell: 100))
    with pytest.raises(TraceanaError, match="holds another sweep"), opened(tmp_path, Head(command=(), identity="two")):
        pass


def test_one_sweep_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "PATIENCE_S", 0)
    with opened(tmp_path, HEAD), pytest.raises(TraceanaError, match="a sweep goes on"), opened(tmp_path, HEAD):
        pass


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    go(tmp_path, two_by_two(), Simulated(lambda cell: 100))
    file = tmp_path / journals.NAME
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:3], b"not ours\n", *lines[3:]]))
    with pytest.raises(TraceanaError, match="a line is no sweep's"):
        read(tmp_path)
