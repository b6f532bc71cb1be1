import numpy as np
import pytest

from traceana.analyze.align import CallSequence, align


def sequence(starts: list[int], codes: list[int], first_seq: int | None = None) -> CallSequence:
    start = np.array(starts, dtype=np.int64)
    seq = np.full(len(starts), -1) if first_seq is None else first_seq + np.arange(len(starts))
    return CallSequence(
        start_ns=start,
        end_ns=start + 50_000,
        seq=seq,
        code=np.array(codes, dtype=np.int64),
        joint=np.ones(len(starts), dtype=np.bool_),
    )


STARTS = [0, 100_000, 250_000, 300_000, 470_000, 600_000, 720_000, 900_000, 1_000_000, 1_130_000]
CODES = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]


def pairs(a: CallSequence, b: CallSequence, offset_ns: int | None = 0) -> list[tuple[int, int]]:
    found = align(a, b, offset_ns)
    return list(zip(found.left.tolist(), found.right.tolist(), strict=True))


@pytest.mark.parametrize("late", [0, 1, 2, 3])
def test_a_window_that_starts_late_on_one_rank(late: int) -> None:
    ours, theirs = sequence(STARTS, CODES), sequence([s + 5_000 for s in STARTS[late:]], CODES[late:])
    assert pairs(ours, theirs) == [(i + late, i) for i in range(len(STARTS) - late)]
    assert pairs(theirs, ours) == [(i, i + late) for i in range(len(STARTS) - late)]


def test_a_late_window_on_another_clock() -> None:
    theirs = sequence([s + 7_000_000_000 for s in STARTS[2:]], CODES[2:])
    assert pairs(sequence(STARTS, CODES), theirs, None) == [(i + 2, i) for i in range(8)]


PERIODIC = list(range(0, 1_000_000, 100_000))


@pytest.mark.parametrize("ahead", [0, 7_000_000_000])
def test_sequence_numbers_beat_order(ahead: int) -> None:
    ours = sequence(PERIODIC, CODES, first_seq=10)
    theirs = sequence([s + ahead for s in PERIODIC[2:]], CODES[:8], first_seq=12)
    assert pairs(ours, theirs, None if ahead else 0) == [(i + 2, i) for i in range(8)]


def test_numbers_of_calls_that_never_meet_are_not_trusted() -> None:
    ours, theirs = sequence(STARTS, CODES, first_seq=10), sequence(STARTS, CODES, first_seq=12)
    found = align(ours, theirs, 0)
    assert found.numbers_wrong
    assert (found.left.tolist(), found.right.tolist()) == (list(range(10)), list(range(10)))


@pytest.mark.parametrize("ahead", [0, 7_000_000_000])
@pytest.mark.parametrize("lost", range(10))
def test_a_lost_call_costs_that_call(lost: int, ahead: int) -> None:
    starts = [s + ahead for i, s in enumerate(STARTS) if i != lost]
    theirs = sequence(starts, [0] * 9)
    assert pairs(sequence(STARTS, [0] * 10), theirs, None if ahead else 0) == [
        (i, i - (i > lost)) for i in range(10) if i != lost
    ]


def test_calls_that_disagree_are_left_unmatched() -> None:
    other = [*CODES[:4], 7, *CODES[5:]]
    assert (4, 4) not in pairs(sequence(STARTS, CODES), sequence(STARTS, other))
    assert len(pairs(sequence(STARTS, CODES), sequence(STARTS, other))) == 9


def test_nothing_to_align() -> None:
    assert pairs(sequence([], []), sequence(STARTS, CODES)) == []
