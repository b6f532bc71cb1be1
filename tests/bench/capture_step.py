"""The step that the benchmark's capture records: `--step-on tests.bench.capture_step:step --steps 1`."""

import time
from collections.abc import Callable


def step(work: Callable[[], tuple[float, float]]) -> tuple[tuple[float, float], float]:
    """What `work` returns, and the time at its end, after which the window closes."""
    return work(), time.perf_counter()
