import pytest
from traceana_capture.reading import DECODE_ERRORS

from traceana.trace.events import decode_events, nanoseconds


@pytest.mark.parametrize(
    ("microseconds", "expected"),
    [
        (4636077897682.981, 4636077897682981),
        (0.001, 1),
        (17.12, 17120),
        (-2.5, -2500),
        (1683564902174.0, 1683564902174000),
    ],
)
def test_relative_time_stamps_keep_every_nanosecond(microseconds: float, expected: int) -> None:
    assert nanoseconds([microseconds]) == [expected]


def test_absolute_time_stamps_are_read_digit_by_digit() -> None:
    chunk = decode_events(b'{"ph":"X","ts":1790857026123456.789},{"ph":"X","ts":1790857026123456.790},{"ph":"M"}')
    assert chunk.starts_ns == [1790857026123456789, 1790857026123456790, 0]


@pytest.mark.parametrize(
    "damage", [b'{"ph":"X","ts":NaN}', b'{"ph":"X","name":"\xff"}', b'{"ph":"X",', b'{"ts":1e300}', b'{"ts":"nan"}']
)
def test_malformed_events_raise(damage: bytes) -> None:
    with pytest.raises(DECODE_ERRORS):
        decode_events(damage)


def test_a_time_that_only_digits_tell_changes_no_other_and_one_that_cannot_be_is_told_by_its_place() -> None:
    near, far = b'{"ts":1.0625}', b'{"ts":1790857026000000.125}'
    alone = [*decode_events(near).starts_ns, *decode_events(far).starts_ns]
    assert decode_events(b",".join([near, far])).starts_ns == alone
    for bad in (b'{"ts":1e17}', b'{"ts":"nan"}', b'{"ts":"inf"}'):
        with pytest.raises(OverflowError, match=r"\$\[2\]"):
            decode_events(b",".join([near, far, bad, near]))
