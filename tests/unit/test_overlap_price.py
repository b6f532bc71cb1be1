"""The price of overlap: planted and found, not found where there is none, and on real traces."""

import os
from pathlib import Path

import numpy as np
import pytest

from traceana.analyze.intervals import union
from traceana.analyze.overlap_price import CoveredCompute, covered_compute, price
from traceana.pipeline import analyze
from traceana.settings import Settings
from traceana.trace.columns import Activities, Ints

ROOT = Path(__file__).parents[2]
PUBLIC = Path(os.environ.get("TRACEANA_PUBLIC_TRACES", ROOT / ".." / "shared" / "traces" / "public"))
KINDS, COVERED, FREE = 4, 10, 30
US = 1_000


def compute(seed: int, slowdown: float, *, shape: int = 0) -> CoveredCompute:
    """Kernels of some kinds, skewed in their durations; some run wholly beside communication."""
    chance = np.random.default_rng(seed)
    name = np.repeat(np.arange(KINDS), COVERED + FREE)
    beside = np.tile(np.arange(COVERED + FREE) < COVERED, KINDS)
    order = chance.permutation(len(name))
    name, beside = name[order], beside[order]
    usual = (1 + name) * 20 * US * chance.lognormal(0, 0.3, len(name))
    duration = np.rint(usual * np.where(beside, 1 + slowdown, 1)).astype(np.int64)
    start = np.concatenate(([0], np.cumsum(duration + US)[:-1]))
    return covered_compute(
        activities(name, start, start + duration, shape),
        np.arange(len(name)),
        union(start[beside], (start + duration)[beside]),
    )


def activities(name: Ints, start: Ints, end: Ints, shape: int) -> Activities:
    nothing = np.zeros(len(name), dtype=np.int64)
    return Activities(
        start_ns=start,
        end_ns=end,
        name=name,
        category=nothing,
        device=nothing,
        stream=nothing,
        correlation=nothing,
        call=nothing - 1,
        external=nothing - 1,
        shape=nothing + shape,
    )


def test_a_planted_10_percent_is_found() -> None:
    found = price([compute(rank, 0.1) for rank in range(8)])
    assert found is not None
    assert found.certain
    assert found.low_ns <= 0.1 * found.usual_ns * 1.05 <= found.high_ns
    assert found.kernels == 8 * KINDS * COVERED


def test_kernels_without_a_grid_are_not_compared() -> None:
    assert price([compute(0, 0.5, shape=-1)]) is None


def test_unlike_work_of_one_kernel_is_not_taken_for_a_price() -> None:
    """Short work that nothing covers and long work that is covered: at each place of the program nothing differs."""
    place = np.tile(np.arange(4), 60)
    # Kernel 0 is short between 1 and 2, and long between 3 and 1.
    name = np.where(place == 2, 0, place)
    duration = np.select([place == 0, place == 2], [10 * US, 20 * US], 5 * US)
    duration += np.random.default_rng(0).integers(0, US, len(duration))
    start = np.concatenate(([0], np.cumsum(duration + US)[:-1]))
    beside = (place == 2) | ((place == 0) & (np.arange(len(place)) % 5 == 0))
    beside &= ~((place == 2) & (np.arange(len(place)) % 5 == 1))
    found = price(
        [
            covered_compute(
                activities(name, start, start + duration, 0),
                np.arange(len(name)),
                union(start[beside], (start + duration)[beside]),
            )
        ]
    )
    assert found is not None
    assert found.p_value < 0.01
    assert not found.certain


@pytest.mark.parametrize(
    ("name", "certain"),
    [("a100-2r-rank0", True), ("mi300-8r-rank0-rccl", False), ("a100-16r-rank0-graphs", False)],
)
def test_real_traces(name: str, certain: bool) -> None:
    path = PUBLIC / f"{name}.json.gz"
    if not path.is_file():
        pytest.skip(f"no {path}; set TRACEANA_PUBLIC_TRACES")
    (run,) = analyze([path], Settings(workers=1), lambda *_: None).report.runs
    assert run.overlap_price is not None
    assert run.overlap_price.certain is certain
    assert all((rank.overlap_price_ns is not None) is certain for rank in run.ranks)
    if certain:
        assert run.overlap_price.extra_ns / run.overlap_price.usual_ns == pytest.approx(0.138, abs=0.01)
        assert sum(rank.overlap_price_ns or 0 for rank in run.ranks) == run.overlap_price.extra_ns
