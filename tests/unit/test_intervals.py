import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceana.analyze import intervals
from traceana.analyze.causes.host import Stretches
from traceana.analyze.causes.spent import ledger
from traceana.analyze.intervals import covered, inside, overlap, touching, union
from traceana.analyze.overlap import mean_split, occupation

Rows = list[tuple[int, int]]
rows = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=12)


def points(intervals: Rows) -> set[int]:
    return {point for start, length in intervals for point in range(start, start + length)}


def arrays(intervals: Rows) -> tuple["np.typing.NDArray[np.int64]", "np.typing.NDArray[np.int64]"]:
    start = np.array([s for s, _ in intervals], dtype=np.int64)
    return start, start + np.array([length for _, length in intervals], dtype=np.int64)


@given(rows, rows)
def test_lengths_agree_with_counting_points(a: Rows, b: Rows) -> None:
    ours, theirs = union(*arrays(a)), union(*arrays(b))
    assert ours.length == len(points(a))
    assert overlap(ours, theirs) == len(points(a) & points(b))


@given(rows, rows)
def test_covered_counts_each_interval_by_itself(a: Rows, b: Rows) -> None:
    counts = covered(*arrays(a), union(*arrays(b)))
    assert counts.tolist() == [len(points([one]) & points(b)) for one in a]


@given(rows, rows)
def test_what_touches_a_set_has_a_time_or_an_end_in_common_with_it(a: Rows, b: Rows) -> None:
    merged = union(*arrays(b))
    ends = list(zip(merged.start.tolist(), merged.end.tolist(), strict=True))
    expected = [any(start <= end and begin <= start + length for begin, end in ends) for start, length in a]
    assert touching(*arrays(a), merged).tolist() == expected


def test_many_times_are_looked_up_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    start = np.arange(0, 100, 7)
    end, by = start + 5, union(np.array([3, 40]), np.array([20, 90]))
    at_once = covered(start, end, by), inside(start, by), touching(start, end, by)
    monkeypatch.setattr(intervals, "_AT_ONCE", 4)
    in_parts = covered(start, end, by), inside(start, by), touching(start, end, by)
    assert [one.tolist() for one in in_parts] == [one.tolist() for one in at_once]


def test_many_pieces_are_summed_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    start = np.arange(0, 100, 10)
    pieces = Stretches(start_ns=start, end_ns=start + 8, name=start // 10 % 2, names=(("span", "a"), ("span", "b")))
    at_once = ledger(np.array([35, 64]), pieces)
    monkeypatch.setattr(intervals, "_AT_ONCE", 3)
    in_parts = ledger(np.array([35, 64]), pieces)
    assert in_parts.stretch.tolist() == at_once.stretch.tolist() == [0, 0, 1, 1, 2, 2]
    assert in_parts.name.tolist() == at_once.name.tolist() == [0, 1, 0, 1, 0, 1]
    assert in_parts.ns.tolist() == at_once.ns.tolist() == [16, 8 + 5, 8 + 4, 3 + 8, 4 + 8, 8 + 8]


@given(rows, st.data())
def test_time_split_adds_up(activities: Rows, data: st.DataObject) -> None:
    kind = np.array([data.draw(st.integers(0, 2)) for _ in activities], dtype=np.int64)
    split = mean_split([occupation(*arrays(activities), kind)])
    assert split.compute_ns + split.exposed_comm_ns + split.exposed_memory_ns + split.idle_ns == split.span_ns
    assert split.overlapped_comm_ns + split.exposed_comm_ns == split.comm_ns
    assert min(split.idle_ns, split.exposed_comm_ns, split.exposed_memory_ns) >= 0
