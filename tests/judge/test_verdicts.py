"""How often verdicts are right on hundreds of simulated pairs of sides: what was planted is found, and nothing else."""

from collections import Counter

import numpy as np
import pytest
from msgspec.structs import replace

from tests.simulation import KEYS, LARGE, MEDIUM, SMALL, Truth, compared

SEEDS = 200
PLANTED = Truth(gain={MEDIUM: 0.12}, late_ns=800_000, steps=30, run_noise=0.006)
PLAIN = Truth(late_ns=400_000, steps=30, run_noise=0.006)


def test_a_gain_at_medium_sizes_is_found_there_and_nowhere_else() -> None:
    verdicts: Counter[tuple[int, str]] = Counter()
    exact = alarms = 0
    for seed in range(SEEDS):
        comparison = compared(seed, PLAIN, PLANTED)
        assert comparison.interval_basis == "repeats"
        rows = {(row.op, row.message_bytes or 0): row.verdict for row in comparison.rows}
        assert set(rows) == set(KEYS)
        verdicts.update((size, verdict) for (_, size), verdict in rows.items())
        found = {key for key, verdict in rows.items() if verdict in ("faster", "slower")}
        planted = {key for key in KEYS if key[1] == MEDIUM}
        alarms += bool(found - planted)
        exact += found == planted and all(rows[key] == "faster" for key in planted)
    assert alarms <= 0.05 * SEEDS
    assert exact >= 0.9 * SEEDS
    assert verdicts[SMALL, "no difference"] + verdicts[LARGE, "no difference"] >= 0.9 * 6 * SEEDS


NOISY = Truth(run_noise=0.03, steps=12)


@pytest.mark.parametrize("runs", [(1, 2), (1, 10), (2, 2), (2, 10)], ids=str)
def test_too_few_runs_that_differ_are_rarely_called_different(runs: tuple[int, int]) -> None:
    alarms = 0
    for seed in range(SEEDS // 2):
        comparison = compared(seed, *(replace(NOISY, repeats=count) for count in runs))
        judged = [row.verdict for row in comparison.rows] + [time.verdict for time in comparison.end_to_end]
        alarms += any(verdict in ("faster", "slower") for verdict in judged)
    assert alarms <= 0.05 * SEEDS / 2


@pytest.mark.parametrize(
    ("truth", "basis"),
    [
        pytest.param(Truth(repeats=3, late_ns=400_000), "repeats", id="three repeats"),
        pytest.param(Truth(repeats=5, run_noise=0.03), "repeats", id="five noisy repeats"),
        pytest.param(Truth(repeats=1, run_noise=0.0), "calls", id="one run"),
        pytest.param(Truth(repeats=1, run_noise=0.0, steps=5, calls=8), "calls", id="one run of few steps"),
    ],
)
def test_equal_sides_are_rarely_called_different(truth: Truth, basis: str) -> None:
    alarms = 0
    for seed in range(SEEDS):
        comparison = compared(seed, truth, truth)
        assert comparison.interval_basis == basis
        judged = [row.verdict for row in comparison.rows] + [time.verdict for time in comparison.end_to_end]
        alarms += any(verdict in ("faster", "slower") for verdict in judged)
    assert alarms <= 0.05 * SEEDS


def test_noisy_repeats_cannot_tell_and_the_runs_they_ask_for_can() -> None:
    noisy = Truth(repeats=3, run_noise=0.04)
    asked = []
    for seed in range(20):
        rows = [row for row in compared(seed, noisy, noisy).rows if row.verdict == "cannot tell"]
        assert len(rows) >= 7
        asked += [row.runs_needed for row in rows if row.runs_needed]
        assert all(row.runs_needed and row.runs_needed > 3 for row in rows)
    enough = Truth(repeats=int(np.median(asked)), run_noise=0.04)
    told = [row.verdict for seed in range(20) for row in compared(seed, enough, enough).rows]
    assert told.count("no difference") >= 0.65 * len(told)
