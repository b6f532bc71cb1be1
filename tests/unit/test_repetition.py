"""A run that marks no steps: where its sequence of collectives repeats itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.analysis import Outcome, analyze
from tests.synthetic import Call, Run, write_run
from traceana.analyze.repetition import Repetition, repetition


def codes(letters: str) -> "np.typing.NDArray[np.int64]":
    return np.array([ord(letter) for letter in letters], dtype=np.int64)


@pytest.mark.parametrize(
    ("sequence", "found"),
    [
        ("abc" * 4, (0, 3, 4)),
        ("xxyzx" + "abc" * 4, (5, 3, 4)),
        ("bc" + "abc" * 4 + "a", (0, 3, 5)),
        (("ab" * 20 + "c") * 3, (0, 41, 3)),
        (("a" * 9 + "b") * 5, (0, 10, 5)),
        ("a" * 40, None),
        ("abc" * 2, None),
        ("abcdefghijklm", None),
        ("", None),
        ("ab" * 3 + "mdkfhexyzqrstuvw", None),
    ],
)
def test_the_shortest_period_that_makes_up_the_sequence(sequence: str, found: tuple[int, int, int] | None) -> None:
    expected = Repetition(first=found[0], period=found[1], count=found[2]) if found else None
    assert repetition(codes(sequence)) == expected


TRAINING = Run(
    world_size=4,
    calls=(
        Call(op="all_gather", nelems=1 << 20, transfer_ns=120_000, overlap_ns=100_000),
        Call(op="all_reduce", nelems=1 << 21, transfer_ns=350_000, delays_ns={1: 150_000}),
        Call(op="all_reduce", nelems=1 << 20, transfer_ns=200_000),
    ),
    steps=6,
)


def analyzed(folder: Path, run: Run) -> Outcome:
    write_run(folder / "traces", run)
    return analyze(folder / "report", folder / "traces")


@pytest.mark.parametrize("change", [{}, {"host_clocks_ns": (0, 3_000_000)}, {"late_windows": {1: 2}}], ids=str)
def test_a_run_that_marks_no_step_has_the_times_of_one_that_does(tmp_path: Path, change: dict[str, Any]) -> None:
    """A repetition also holds the pause between steps, of 1 µs."""
    marked = analyzed(tmp_path / "marked", replace(TRAINING, **change)).run["steps"]
    outcome = analyzed(tmp_path / "bare", replace(TRAINING, step_name="block", **change))
    found = outcome.run["steps"]
    assert [step["name"] for step in found] == [f"step, by repetition {number}" for number in range(6)]
    for mine, theirs in zip(found[1:], marked[1:], strict=True):
        assert mine["duration_ns"] == pytest.approx(theirs["duration_ns"], abs=60_000)
        assert mine["compute_ns"] == pytest.approx(theirs["compute_ns"], abs=2_000)
    assert any("the same 3 calls repeat 6 times" in note for note in outcome.run["coverage"]["notes"])


def test_repetitions_add_up_to_the_window_until_the_last_call(tmp_path: Path) -> None:
    run = analyzed(tmp_path, replace(TRAINING, step_name="block")).run
    assert sum(step["duration_ns"] for step in run["steps"]) == pytest.approx(run["ranks"][0]["span_ns"], abs=2_000)


def test_calls_of_one_kind_make_no_steps(tmp_path: Path) -> None:
    alike = replace(TRAINING, step_name="block", calls=TRAINING.calls[2:], steps=9)
    assert analyzed(tmp_path, alike).run["steps"] == []
