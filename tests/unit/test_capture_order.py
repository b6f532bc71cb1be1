"""Which run was captured first, by the times in the traces."""

from traceana.analyze.capture_order import capture_order


def test_runs_are_ordered_by_their_times_and_not_their_names() -> None:
    assert capture_order([(200, 300), (50, 100), (100, 200)]) == [1, 2, 0]


def test_runs_stay_as_they_stand_where_a_time_is_unknown_or_two_overlap() -> None:
    assert capture_order([(200, 300), None]) == [0, 1]
    assert capture_order([(200, 300), (50, 201)]) == [0, 1]
