"""Traces without a device: other load on the cores slows transfers and compute alike, and makes no backend faster."""

import numpy as np
import pytest
from msgspec.structs import replace

from tests.simulation import MEDIUM, Truth, side
from traceana.comparing.comparison import compare
from traceana.comparing.sides import Side
from traceana.report import Comparison, RunReport

FASTER = Truth(gain=dict.fromkeys((MEDIUM,), 0.4), run_noise=0.003)


def on_hosts(a: Side, load: float, *, steps: bool) -> Side:
    """The side without GPUs, its compute `load` times as long."""
    runs = [replace(run, report=_loaded(run.report, load, steps=steps)) for run in a.runs]
    return replace(a, runs=tuple(runs))


def _loaded(report: RunReport, load: float, *, steps: bool) -> RunReport:
    ranks = tuple(replace(rank, source="cpu", compute_ns=round(rank.compute_ns * load)) for rank in report.ranks)
    slowed = tuple(replace(step, compute_ns=round(step.compute_ns * load)) for step in report.steps)
    return replace(report, ranks=ranks, steps=slowed if steps else ())


def compared(load: float, *, steps: bool) -> Comparison:
    random = np.random.default_rng(3)
    baseline, candidate = side("a", Truth(run_noise=0.003), random), side("b", FASTER, random)
    return compare(on_hosts(baseline, load, steps=steps), on_hosts(candidate, 1.0, steps=steps))


@pytest.mark.parametrize("steps", [True, False])
def test_other_load_makes_no_verdict(steps: bool) -> None:
    found = compared(8.0, steps=steps)
    assert {row.verdict for row in found.rows} == {"cannot tell"}
    assert all("another clock, temperature or work" in row.reason for row in found.rows if row.reason)


@pytest.mark.parametrize("steps", [True, False])
def test_the_same_load_lets_a_gain_be_seen(steps: bool) -> None:
    found = compared(1.0, steps=steps)
    assert "faster" in {row.verdict for row in found.rows if row.message_bytes == MEDIUM}
