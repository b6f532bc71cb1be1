"""The counter's area is the exposed communication."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceana.analyze.intervals import union
from traceana.analyze.overlap import Occupation, mean_split
from traceana.perfetto.counter import Counter, exposed_share, step_ns
from traceana.trace.columns import Ints

SPANS = st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 900)), max_size=12)


def occupied(compute: list[tuple[int, int]], communication: list[tuple[int, int]]) -> Occupation:
    def intervals(spans: list[tuple[int, int]]) -> tuple[Ints, Ints]:
        start, length = np.array(spans, dtype=np.int64).reshape(-1, 2).T
        return start, start + length

    return Occupation(
        compute=union(*intervals(compute)), communication=union(*intervals(communication)), memory=union(*intervals([]))
    )


def area(counter: Counter) -> float:
    """ns."""
    return float((np.diff(counter.at_ns) * counter.percent[:-1]).sum() / 100)


@pytest.mark.parametrize(
    ("span_ns", "expected"), [(0, 1_000), (2_000_000, 1_000), (2_000_001, 2_000), (9_000_000_000, 5_000_000)]
)
def test_a_step_is_round_and_there_are_at_most_two_thousand(span_ns: int, expected: int) -> None:
    assert step_ns(span_ns) == expected


def test_shares_a_step() -> None:
    counter = exposed_share(occupied([(0, 150)], [(100, 200)]), shift_ns=0, step=100)
    assert dict(zip(counter.at_ns.tolist(), counter.percent.tolist(), strict=True)) == {0: 0, 100: 50, 200: 100, 300: 0}


def test_a_rank_without_work_has_no_counter() -> None:
    assert len(exposed_share(occupied([], []), shift_ns=0, step=100).at_ns) == 0


@given(compute=SPANS, communication=SPANS, shift=st.integers(-10_000, 10_000))
def test_the_area_is_the_exposed_communication(
    compute: list[tuple[int, int]], communication: list[tuple[int, int]], shift: int
) -> None:
    occupation = occupied(compute, communication)
    counter = exposed_share(occupation, shift_ns=shift, step=100)
    assert area(counter) == pytest.approx(mean_split([occupation]).exposed_comm_ns)
    assert counter.percent.max(initial=0) <= 100
    assert not len(counter.percent) or counter.percent[-1] == 0
