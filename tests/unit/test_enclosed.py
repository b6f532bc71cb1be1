import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from traceana.analyze.causes.host import _outermost
from traceana.analyze.intervals import Intervals, union
from traceana.trace.columns import HostRows, Ints
from traceana.trace.enclosed import Enclosed

# Start, duration, thread, and whether it is PyTorch's own.
_operator = st.tuples(st.integers(0, 12), st.integers(0, 6), st.integers(0, 1), st.booleans())
Operators = list[tuple[int, int, int, bool]]


def _columns(operators: Operators) -> tuple[Ints, Ints, Ints, Ints]:
    start, duration, thread, aten = np.array(operators, dtype=np.int64).reshape(-1, 4).T
    return start, start + duration, thread, aten


def _kept(batches: list[Operators]) -> Operators:
    found = Enclosed()
    kept: Operators = []
    for batch in batches:
        start, end, thread, aten = _columns(batch)
        enclosed = found.found(start, end, thread, aten > 0).tolist()
        kept += [operator for operator, is_enclosed in zip(batch, enclosed, strict=True) if not is_enclosed]
    return kept


def _outermost_of(operators: Operators, thread: int) -> list[tuple[int, int, int]]:
    start, end, threads, aten = _columns(operators)
    found = _outermost(HostRows(start_ns=start, end_ns=end, thread=threads, key=aten), thread)
    return list(zip(found.start_ns.tolist(), found.end_ns.tolist(), found.key.tolist(), strict=True))


def _union_of_aten(operators: Operators) -> Intervals:
    start, end, _, aten = _columns(operators)
    return union(start[aten > 0], end[aten > 0])


def test_what_lies_in_another_one_is_told_within_a_batch_and_from_one_to_the_next() -> None:
    outer, inner, after, later = (0, 10, 0, True), (2, 3, 0, True), (10, 5, 0, True), (11, 1, 0, True)
    assert _kept([[inner, outer, after], [later]]) == [outer, after]


def test_on_another_thread_or_in_what_is_not_of_pytorch_it_is_kept() -> None:
    outer, other_thread, aten = (0, 10, 0, False), (2, 3, 1, False), (2, 3, 0, True)
    assert _kept([[outer, other_thread, aten]]) == [outer, other_thread, aten]


def test_a_batch_that_goes_back_in_time_is_judged_by_itself() -> None:
    late, early = (5, 10, 0, True), (4, 3, 0, True)
    assert _kept([[late], [early]]) == [late, early]


@given(st.lists(st.lists(_operator, max_size=8), max_size=4))
def test_what_is_kept_has_the_same_outermost_operators_and_the_same_time_of_compute(batches: list[Operators]) -> None:
    whole, kept = [operator for batch in batches for operator in batch], _kept(batches)
    for thread in (0, 1):
        assert _outermost_of(kept, thread) == _outermost_of(whole, thread)
    assert [column.tolist() for column in _union_of_aten(kept)] == [column.tolist() for column in _union_of_aten(whole)]
    assert min((one[0] for one in kept), default=0) == min((one[0] for one in whole), default=0)
