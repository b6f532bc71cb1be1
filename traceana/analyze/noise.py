"""What makes a run's times unsteady: a rank whose compute slows down, or is slower than its peers'.

Every rank of a sequence- or tensor-parallel model computes the same amount in every step, so compute a step is a
thermometer: where it drifts, a clock was throttled or somebody else used the GPU.
"""

from collections.abc import Mapping

import numpy as np

from traceana import units
from traceana.analyze.overlap import Occupation
from traceana.analyze.steps import Executions
from traceana.report import Noise
from traceana.trace.columns import Ints

TELLING = 0.10
"""Change of compute a step beyond which a comparison of step times is in doubt."""
_FEWEST_STEPS = 6


def noise(occupied: Mapping[int, Occupation], steps: Executions) -> tuple[Noise, ...]:
    """None where there are too few steps or nothing is computed."""
    count = len(steps)
    steady = {
        rank: occupied[rank].compute_within(start[1:count], steps.end_ns[rank][1:count])
        for rank, start in steps.start_ns.items()
    }
    if not steady or min(len(values) for values in steady.values()) < _FEWEST_STEPS:
        return ()
    typical = {rank: float(np.median(values)) for rank, values in sorted(steady.items())}
    if min(typical.values()) <= 0:
        return ()
    return (*_drifts(steady), *_uneven(typical))


def _drifts(steady: Mapping[int, Ints]) -> list[Noise]:
    found = []
    for rank, values in sorted(steady.items()):
        half = len(values) // 2
        change = float(np.median(values[half:])) / max(float(np.median(values[:half])), 1.0) - 1
        if abs(change) > TELLING:
            how = f"{units.percent(abs(change), 1)} {'longer' if change > 0 else 'shorter'}"
            text = (
                f"rank {rank}: compute a step takes {how} in the second half of the recording than in the first: "
                "a throttled clock, or another program on the same device"
            )
            found.append(Noise(kind="drift", rank=rank, change=change, text=text))
    return found


def _uneven(typical: Mapping[int, float]) -> list[Noise]:
    # The lower middle: of two ranks, the slower one is not half of what is typical.
    middle = sorted(typical.values())[(len(typical) - 1) // 2]
    slower = {rank: value / middle - 1 for rank, value in typical.items() if value / middle - 1 > TELLING}
    return [
        Noise(
            kind="uneven",
            rank=rank,
            change=change,
            text=f"rank {rank}: compute a step takes {units.percent(change, 1)} longer than on the typical rank, "
            "and its peers wait",
        )
        for rank, change in slower.items()
    ]
