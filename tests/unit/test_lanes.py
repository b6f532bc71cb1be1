"""Slices of a lane nest or are apart, and nothing is moved without need."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from traceana.trace.lanes import lanes

SLICES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20)), max_size=30)


def lane_of(*slices: tuple[int, int]) -> list[int]:
    start, end = np.array(slices, dtype=np.int64).reshape(-1, 2).T
    result: list[int] = lanes(start, end).tolist()
    return result


def test_nested_and_touching_slices_share_a_lane() -> None:
    assert lane_of((0, 10), (0, 4), (4, 10), (10, 12)) == [0, 0, 0, 0]


def test_slices_that_cross_are_kept_apart() -> None:
    assert lane_of((0, 10), (5, 15), (8, 20)) == [0, 1, 2]


def test_the_order_in_the_file_does_not_matter() -> None:
    assert lane_of((5, 15), (0, 10)) == [1, 0]


def test_slices_that_begin_together_share_a_lane() -> None:
    assert lane_of((0, 10), (5, 15), (5, 8)) == [0, 1, 1]


def test_none() -> None:
    assert lane_of() == []


@given(SLICES)
def test_no_two_slices_of_a_lane_cross(pairs: list[tuple[int, int]]) -> None:
    slices = [(start, start + length) for start, length in pairs]
    placed = list(zip(lane_of(*slices), slices, strict=True))
    for lane, (start, end) in placed:
        for other, (begin, finish) in placed:
            crosses = start < begin < end < finish
            assert not (lane == other and crosses)
            assert lane == other or start != begin
