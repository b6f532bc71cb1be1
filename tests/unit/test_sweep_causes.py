"""Why a cell takes its time: parts that add up, of a real trace's steps or of its window."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from traceana.report import RunReport
from traceana.sweep.causes import cause
from traceana.sweep.runner import read_trace


@pytest.fixture(scope="module")
def run() -> RunReport:
    return read_trace(Path(__file__).parents[1] / "traces" / "h200" / "torch-2r")


def test_the_parts_of_a_step_add_up(run: RunReport) -> None:
    found = cause(run)
    assert found.of == "step"
    assert found.compute_ns + found.exposed_ns + found.idle_ns + found.other_ns == pytest.approx(found.whole_ns, abs=3)
    steady = [step for step in run.steps if step.steady]
    assert found.compute_ns == pytest.approx(sum(step.compute_ns for step in steady) / len(steady), abs=1)
    assert found.costly is not None
    assert sum(ns for _, ns in found.exposed_is) == pytest.approx(found.exposed_ns, rel=0.01)


def test_without_steps_it_is_the_window(run: RunReport) -> None:
    found = cause(replace(run, steps=()))
    assert found.of == "window"
    assert found.whole_ns == sum(rank.span_ns for rank in run.ranks) // 2
    assert found.other_ns == pytest.approx(sum(rank.exposed_memory_ns for rank in run.ranks) / 2, abs=4)
