"""Which cell is first and how sure that is, what axes were worth, how cells scale: on times that are known."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from tests.sweeping import axis, plan
from traceana.comparing.verdict import judge
from traceana.sweep import effects, standing
from traceana.sweep.cells import Cell, cells
from traceana.sweep.journal import Record
from traceana.sweep.plan import Expected, Plan
from traceana.sweep.samples import Sample, case, samples

MS = 1_000_000
SWEEPS = 30
BOTH = plan(axis("size", "1", "2"), axis("nccl", "plain", "no-p2p", "simple", "ll"))


def simulated(
    asked: Plan, time_ms: Callable[[Cell], float], seed: int, spread: float = 0.02, warm_up: float = 1.0
) -> dict[str, Sample]:
    """Samples of cells whose runs differ by `spread`, the first by the factor `warm_up` as well."""
    noise = np.random.default_rng(seed)
    return samples(
        [
            Record(
                cell=cell.label,
                kind="timed",
                repeat=repeat,
                wall_ns=0,
                value_ns=round(time_ms(cell) * MS * math.exp(noise.normal(0, spread)) * (1 if repeat else warm_up)),
            )
            for cell in cells(asked)
            for repeat in range(asked.repeats + 1)
        ]
    )


def test_equal_cells_are_called_different_in_few_sweeps() -> None:
    label = cells(BOTH)[0].label
    alarms, broken_ties, effects_seen = 0, 0, 0
    for seed in range(SWEEPS):
        found = simulated(BOTH, lambda cell: 100, seed)
        alarms += any(its.verdict in ("faster", "slower") for its in standing.against(label, found).values())
        broken_ties += len(standing.tied(found)) < len(found)
        effects_seen += any(
            one.verdict.verdict in ("faster", "slower") for one in effects.effects(BOTH.axes, cells(BOTH), found)
        )
    # Of 1,500 sweeps, which take longer, 4.1 % had such an effect.
    assert max(alarms, broken_ties, effects_seen) <= 0.1 * SWEEPS


def test_a_better_setting_is_found_and_ties_are_ties() -> None:
    times = {"plain": 100.0, "no-p2p": 140.0, "simple": 80.0, "ll": 80.0}
    found = simulated(BOTH, lambda cell: times[cell.choice("nccl") or ""], 1, spread=0.004)
    against = standing.against("size=1 nccl=plain", found)
    assert against["size=1 nccl=simple"].verdict == "faster"
    assert against["size=2 nccl=no-p2p"].verdict == "slower"
    assert against["size=2 nccl=plain"].verdict == "no difference"
    assert standing.tied(found) == {f"size={size} nccl={nccl}" for size in "12" for nccl in ("simple", "ll")}
    assert standing.ranked(found)[-1].endswith("no-p2p")


def test_a_first_run_counts_where_it_is_like_the_others() -> None:
    alike = [simulated(BOTH, lambda cell: 100, seed) for seed in range(20)]
    counted = sum(one.warm_up_counts for found in alike for one in found.values())
    assert counted >= 0.95 * 160
    slow = simulated(BOTH, lambda cell: 100, 0, warm_up=1.3)
    assert not any(one.warm_up_counts for one in slow.values())
    assert all(len(one.counted_ns) == 3 for one in slow.values())


def test_the_worth_of_an_axis_is_the_mean_over_its_pairs() -> None:
    times = {("1", "plain"): 100, ("2", "plain"): 50, ("1", "ll"): 120, ("2", "ll"): 60}
    asked = plan(axis("size", "1", "2"), axis("nccl", "plain", "ll"))
    found = simulated(asked, lambda cell: times[cell.choice("size") or "", cell.choice("nccl") or ""], 3, spread=0.002)
    size, nccl = effects.effects(asked.axes, cells(asked), found)
    assert (size.choice, size.over, size.pairs, size.verdict.verdict) == ("2", "1", 2, "faster")
    assert size.verdict.speedup == pytest.approx(2, rel=0.01)
    assert nccl.verdict.speedup == pytest.approx(100 / 120, rel=0.01)
    assert nccl.verdict.ci_low < nccl.verdict.speedup < nccl.verdict.ci_high  # type: ignore[operator]
    assert nccl.least <= nccl.verdict.speedup <= nccl.most


def test_an_effect_stands_on_cells_that_there_are() -> None:
    asked = plan(axis("size", "1", "2"), axis("nccl", "plain", "ll"), constraints=("size == 2 or nccl == 'plain'",))
    found = simulated(asked, lambda cell: 100, 0)
    assert [(one.axis, one.pairs) for one in effects.effects(asked.axes, cells(asked), found)] == [
        ("size", 1),
        ("nccl", 1),
    ]


def test_an_effects_interval_covers_the_truth() -> None:
    asked = plan(axis("size", "1", "2"), axis("nccl", "plain", "ll"))
    times = {"plain": 100, "ll": 110}
    inside = 0
    for seed in range(100):
        found = simulated(asked, lambda cell: times[cell.choice("nccl") or ""], seed)
        its = effects.effects(asked.axes, cells(asked), found)[1].verdict
        assert its.ci_low is not None
        assert its.ci_high is not None
        inside += its.ci_low <= 100 / 110 <= its.ci_high
    assert inside >= 90


def test_scaling_is_against_the_cell_of_the_fewest_gpus_that_is_alike() -> None:
    asked = plan(axis("size", "1", "2", "4"), axis("nccl", "plain", "ll"), gpus="size")
    found = simulated(asked, lambda cell: {"1": 100, "2": 60, "4": 50}[cell.choice("size") or ""], 0, spread=0.001)
    scaled = standing.scaling(cells(asked), found, frozenset({"size"}))
    assert set(scaled) == {f"size={size} nccl={nccl}" for size in "24" for nccl in ("plain", "ll")}
    assert scaled["size=2 nccl=ll"].reference == "size=1 nccl=ll"
    assert scaled["size=2 nccl=ll"].efficiency == pytest.approx(100 / 120, rel=0.01)
    assert scaled["size=4 nccl=plain"].efficiency == pytest.approx(0.5, rel=0.01)


def test_cells_that_no_other_beats_in_both_are_the_frontier() -> None:
    asked = plan(axis("size", "1", "2", "4"), gpus="size")
    found = simulated(asked, lambda cell: {"1": 100, "2": 60, "4": 70}[cell.choice("size") or ""], 0, spread=0)
    assert standing.pareto(cells(asked), found) == {"size=1", "size=2"}


def test_two_runs_do_not_tell() -> None:
    asked = plan(axis("size", "1", "2"), repeats=2)
    found = simulated(asked, lambda cell: 100 * int(cell.choice("size") or 0), 0, warm_up=2)
    judged = judge([case(found["size=1"], found["size=2"])])[0]
    assert (judged.verdict, judged.runs_needed) == ("cannot tell", 3)
    assert judged.reason == "3 runs of each are needed; the fewer are 2"


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.10, "as expected"), (0.01, "less"), (0.30, "more"), (0.05, "cannot tell")]
)
def test_measured_gains_stand_beside_the_expected_ones(gain: float, verdict: str) -> None:
    asked = plan(
        axis("size", "1", "2"),
        axis("nccl", "plain", "ll"),
        expected=(Expected(axis="nccl", choice="ll", over="plain", where="size == 2", low=0.05, high=0.15),),
    )
    found = simulated(asked, lambda cell: 100 * (1 - gain * (cell.choice("nccl") == "ll")), 0, spread=0.005)
    (one,) = effects.expected_gains(asked, cells(asked), found)
    assert (one.cell, one.over, one.verdict) == ("size=2 nccl=ll", "size=2 nccl=plain", verdict)
    assert one.measured == pytest.approx(gain, abs=0.02)
