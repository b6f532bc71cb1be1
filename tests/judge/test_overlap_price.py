"""How often overlap is given a price that it does not have."""

import numpy as np

from tests.unit.test_overlap_price import compute
from traceana.analyze.overlap_price import price


def test_of_equals_at_most_5_percent_claim_a_price() -> None:
    found = [price([compute(seed, 0.0)]) for seed in range(200)]
    claimed = [one for one in found if one and one.certain]
    assert len(found) == 200
    assert len(claimed) <= 0.05 * 200
    # The naive sum over medians is not zero on the mean: durations are skewed. What is told is.
    told = np.array([one.extra_ns / one.usual_ns for one in found if one])
    naive = np.array([(compute(seed, 0.0).all.extra_ns) for seed in range(20)])
    assert naive.mean() > 0
    assert abs(told.mean()) < 2 * told.std() / np.sqrt(len(told)) + 0.005
