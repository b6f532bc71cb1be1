"""What a whole sweep comes to, on simulated runs: the sentence, ties, failures, limits, the page."""

from pathlib import Path
from typing import Any

import pytest

from tests.sweeping import Simulated, axis, plan
from traceana.errors import TraceanaError
from traceana.sweep.cells import Cell
from traceana.sweep.plan import Limits
from traceana.sweep.report import SweepReport
from traceana.sweep.whole import Sweep, read

FOUR = (axis("size", "1", "2"), axis("nccl", "plain", "ll"))


def swept(folder: Path, runner: Simulated, **others: Any) -> SweepReport:
    return Sweep(plan(*FOUR, traced=False, **others), folder).go(lambda text: None, runner)


def times(cell: Cell) -> float:
    return {("1", "plain"): 100, ("1", "ll"): 104, ("2", "plain"): 60, ("2", "ll"): 60}[
        cell.choice("size") or "", cell.choice("nccl") or ""
    ]


def test_a_winner_and_its_tie(tmp_path: Path) -> None:
    found = swept(tmp_path, Simulated(times, spread=0.003), gpus="size")
    assert found.winner in ("size=2 nccl=plain", "size=2 nccl=ll")
    assert f"{found.winner} is fastest: 1.6" in found.sentence
    assert "These runs cannot tell it from size=2 nccl=" in found.sentence
    assert [cell.tied for cell in found.cells] == [True, True, False, False]
    assert found.cells[0].scaling is not None
    assert found.cells[0].gpu_time_ns == 2 * (found.cells[0].time_ns or 0)
    assert read(tmp_path) == found
    assert (tmp_path / "report.html").read_text().count('<svg class="plot"') == 1


@pytest.mark.parametrize("seed", range(6))
def test_a_winner_is_never_tied_with_the_baseline_that_it_beats(tmp_path: Path, seed: int) -> None:
    found = swept(tmp_path, Simulated(times, spread=0.06, seed=seed))
    baseline = next(cell for cell in found.cells if cell.label == found.baseline)
    first = next(cell for cell in found.cells if cell.place == 1)
    beaten = first.against_baseline is not None and first.against_baseline.verdict == "faster"
    assert not (beaten and baseline.tied)
    assert ("is fastest" in found.sentence) == beaten


def test_equal_cells_have_no_winner_that_is_sure(tmp_path: Path) -> None:
    found = swept(tmp_path, Simulated(lambda cell: 100))
    assert found.sentence.startswith("No setting is certainly better than the baseline size=1 nccl=plain")


def test_a_sweep_that_a_limit_ended_says_so(tmp_path: Path) -> None:
    found = swept(tmp_path, Simulated(lambda cell: 100), limits=Limits(whole_s=0.9))
    assert found.unfinished is not None
    assert all(cell.against_baseline is None or cell.against_baseline.verdict == "cannot tell" for cell in found.cells)
    assert "Not finished:" in (tmp_path / "report.html").read_text()


def test_a_cell_that_failed_late_has_no_place(tmp_path: Path) -> None:
    runner = Simulated(times)
    runner.fails = lambda turn: turn.cell.label == "size=2 nccl=ll" and turn.repeat == 3
    found = swept(tmp_path, runner)
    last = found.cells[-1]
    assert (last.label, last.place, last.failure) == ("size=2 nccl=ll", None, "exit code 3")
    assert last.last_lines == ("out of memory",)
    assert found.winner == "size=2 nccl=plain"
    assert not any("ll" in effect.choice and effect.pairs > 1 for effect in found.effects)


def test_nothing_ran_through(tmp_path: Path) -> None:
    runner = Simulated(times)
    runner.fails = lambda turn: True
    found = swept(tmp_path, runner)
    assert (found.sentence, found.winner) == ("No cell ran through.", None)


def test_another_environment_is_another_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept(tmp_path, Simulated(times))
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    swept(tmp_path, Simulated(times))
    monkeypatch.setenv("NCCL_P2P_DISABLE", "1")
    with pytest.raises(TraceanaError, match="holds another sweep"):
        swept(tmp_path, Simulated(times))
    with pytest.raises(TraceanaError, match="holds another sweep"):
        Sweep(plan(*FOUR, traced=False), tmp_path).preview()
