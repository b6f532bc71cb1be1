"""Verdicts on simulated sides: what they are worth, and what is said where they cannot tell."""

from pathlib import Path

import numpy as np
import pytest

from tests.analysis import analyze
from tests.simulation import KEYS, LARGE, MEDIUM, SMALL, STRAGGLER, Truth, compared
from tests.synthetic import Call, Run, write_run
from traceana.comparing.end_to_end import EXPOSED_FLOOR_NS

GAIN = 0.12


def test_too_few_samples_cannot_tell_and_say_how_many_runs_would() -> None:
    few = Truth(repeats=1, steps=4, calls=1)
    for seed in range(20):
        for row in compared(seed, few, few).rows:
            assert row.verdict == "cannot tell"
            assert row.ci_low is None
            assert row.runs_needed == 3
            assert row.reason
            assert "3 steady values" in row.reason


def test_a_speed_up_under_compute_is_worth_nothing() -> None:
    hidden = Truth(gain={MEDIUM: 0.3}, hidden=1.0)
    comparison = compared(1, Truth(hidden=1.0), hidden)
    assert {row.verdict for row in comparison.rows if row.message_bytes == MEDIUM} == {"faster"}
    assert [row.worth_ns for row in comparison.rows] == [0] * len(KEYS)
    assert "nothing is saved" in comparison.sentence


def test_exposed_communication_that_vanishes_has_a_quotient_that_says_so_and_no_more() -> None:
    """All of it under compute on one side: a quotient of nanoseconds would be in the millions."""
    comparison = compared(1, Truth(run_noise=0.002), Truth(run_noise=0.002, hidden=1.0))
    (exposed,) = [one for one in comparison.end_to_end if one.metric == "exposed"]
    assert exposed.candidate_p50_ns == 0
    assert exposed.baseline_p50_ns > 1_000_000
    assert exposed.speedup == pytest.approx(exposed.baseline_p50_ns / EXPOSED_FLOOR_NS, rel=1e-6)
    assert exposed.verdict == "faster"
    hidden = compared(1, Truth(hidden=1.0), Truth(hidden=1.0))
    assert "exposed" not in {one.metric for one in hidden.end_to_end}


def test_rows_are_ordered_by_what_they_are_worth() -> None:
    comparison = compared(1, Truth(run_noise=0.006), Truth(run_noise=0.006, gain={SMALL: 0.3, LARGE: 0.3}))
    worths = [abs(row.worth_ns or 0) for row in comparison.rows]
    assert worths == sorted(worths, reverse=True)
    assert {row.message_bytes for row in comparison.rows[:3]} == {LARGE}
    for row in comparison.rows[:3]:
        # 2 calls a step of 32 MiB at 40 bytes a ns, of which 30 % are saved.
        assert row.worth_ns == pytest.approx(2 * 0.3 * (20_000 + LARGE / 40), rel=0.2)


def test_through_trace_files(tmp_path: Path) -> None:
    for label, gain in (("torch", 1.0), ("pynccl", 1 - GAIN)):
        for repeat in range(1, 4):
            write_run(tmp_path / "traces" / f"{label}.{repeat}", _traced(gain, seed=repeat + (label == "torch") * 10))
    outcome = analyze(tmp_path / "report", tmp_path / "traces", "--baseline", "torch")
    assert outcome.exit_code == 0, outcome.stderr
    (comparison,) = outcome.report["comparisons"]
    assert comparison["baseline_runs"] == ["torch.1", "torch.2", "torch.3"]
    assert comparison["candidate_runs"] == ["pynccl.1", "pynccl.2", "pynccl.3"]
    assert comparison["interval_basis"] == "repeats"
    verdicts = {(row["op"], row["message_bytes"]): row["verdict"] for row in comparison["rows"]}
    expected = dict.fromkeys(verdicts, "no difference") | {("all_to_all", MEDIUM): "faster"}
    assert verdicts == expected
    (faster,) = [row for row in comparison["rows"] if row["verdict"] == "faster"]
    assert faster["speedup"] == pytest.approx(1 / (1 - GAIN), rel=0.02)
    assert comparison["rows"][0] == faster
    assert faster["baseline_warm_up"] == 3 * 4 * 3
    assert comparison["worth_per"] == "step"
    assert faster["worth_ns"] == pytest.approx(3 * GAIN * 400_000, rel=0.1)


def _traced(gain: float, seed: int) -> Run:
    def call(op: str, nelems: int, transfer_ns: int) -> Call:
        noise = np.random.default_rng([seed, nelems]).normal(0, 0.004)
        return Call(
            op=op,
            nelems=nelems,
            transfer_ns=round(transfer_ns * np.exp(noise)),
            delays_ns={STRAGGLER: 300_000} if op == "all_reduce" else {},
        )

    medium = call("all_to_all", MEDIUM // 2, round(400_000 * gain))
    calls = (call("all_gather", SMALL // 2, 60_000), call("all_reduce", LARGE // 2, 1_500_000), medium, medium, medium)
    return Run(world_size=4, calls=calls, steps=8, end_jitter_ns=4_000, seed=seed)
