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
