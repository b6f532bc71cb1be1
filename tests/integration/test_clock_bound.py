"""The clock's residual is a bound: of random runs with a planted clock, in 95 of 100 the true error is within it."""

from pathlib import Path
from random import Random

import pytest

from tests.synthetic import Call, Run, write_run
from traceana.pipeline import Settings, analyze
from traceana.report import RunReport

RUNS = 60
FEWEST_WITHIN = 54
"""Of 60 runs at 95 % each, fewer are within once in a hundred times."""


def report_of(folder: Path) -> RunReport:
    (run,) = analyze([folder], Settings(workers=1), lambda _done, _all, _name: None).runs
    return run.report


def random_run(seed: int) -> Run:
    """Three hosts, groups that cross them, ends that jitter."""
    random = Random(seed)
    calls = (
        Call(op="all_reduce", nelems=1 << 20, delays_ns={random.randrange(6): random.randrange(200_000)}),
        Call(op="all_to_all", nelems=1 << 18, groups=((0, 3), (1, 2, 4, 5))),
        Call(op="broadcast", nelems=1 << 12),
    )
    clocks = tuple(random.randrange(-5_000_000, 5_000_000) for _ in range(3))
    jitter = random.choice([500, 2_000, 8_000])
    return Run(
        world_size=6, calls=calls, steps=random.randint(4, 7), host_clocks_ns=clocks, end_jitter_ns=jitter, seed=seed
    )


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, int]]:
    """For each run the largest error of an offset in ns, and what the report says that it is at most."""
    found = []
    for seed in range(RUNS):
        folder = tmp_path_factory.mktemp("run")
        truth, report = write_run(folder, random_run(seed)), report_of(folder)
        off = max(abs(rank.clock_offset_ns - truth.ranks[rank.rank].clock_offset_ns) for rank in report.ranks)
        assert report.clock.residual_ns is not None
        found.append((off, report.clock.residual_ns))
    return found


def test_true_error_is_within_the_residual(errors: list[tuple[int, int]]) -> None:
    assert sum(error <= residual for error, residual in errors) >= FEWEST_WITHIN


def test_residual_is_not_wide_for_nothing(errors: list[tuple[int, int]]) -> None:
    """A bound that is a hundred times the error would be right and useless."""
    assert sorted(residual for _, residual in errors)[RUNS // 2] < 20_000
