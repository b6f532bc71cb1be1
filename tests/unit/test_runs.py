"""Damage of many kinds in one stretch: what is kept of it, and how often it is decoded."""

import random
from collections.abc import Callable

import pytest

from traceana.trace.events import Chunk, decode_events
from traceana.trace.mend import Piece, mend
from traceana.trace.runs import decode_pieces
from traceana.trace.salvage import salvage

EVENT = b'{"ph":"X","cat":"kernel","name":"nvjet","ts":1.5,"dur":2.0,"args":{"a b":3,"c":[{"name":"a"},{"name":"b"}]}}'
MENDED: tuple[tuple[bytes, bytes], ...] = (
    (b"1.5", b"NaN"),
    (b"2.0", b"2,0"),
    (b"nvjet", b"nv\xe9jet"),
    (b"nvjet", b"nv\x01\njet"),
)
LOST: tuple[tuple[bytes, bytes], ...] = (
    (b"nvjet", b'nv"jet'),
    (b"nvjet", b'n"v"jet'),
    (b'"cat":', b'"cat" '),
    (b'"ts":1.5', b'"ts":[1.5]'),
    (b'"ts":1.5', b'"ts":1e30'),
    (b"}]}}", b"}]}"),
    (b"}]}}", b"}}}"),
    (b"3,", b"tru,"),
)


class _Counted:
    def __init__(self) -> None:
        self.calls = self.bytes = 0

    def __call__(self, data: bytes) -> Chunk:
        self.calls += 1
        self.bytes += len(data)
        return decode_events(data)


def _mixed(every: int) -> tuple[bytes, int, int]:
    """Events of which each of so many is damaged, one way after another, some without a comma; what is lost, mended."""
    draw = random.Random(every)
    damage = [draw.choice(MENDED + LOST) if number % every == 0 else None for number in range(900)]
    events = [EVENT.replace(*one) if one else EVENT for one in damage]
    text = b"".join(event + draw.choice((b",\n", b"\n")) for event in events) + EVENT
    return text, sum(one in LOST for one in damage), sum(one in MENDED for one in damage)


@pytest.mark.parametrize("every", [1, 2, 5, 100])
def test_a_mix_of_damage_costs_no_other_event(every: int) -> None:
    text, lost, mended = _mixed(every)
    decode = _Counted()
    result = salvage(text, decode=decode)
    whole = [event for event in result.chunk.events if event.ph]
    assert (len(whole), result.repaired) == (901 - lost, mended)
    assert lost <= result.skipped <= 2 * lost
    # Where losses are dense, each event is decoded once by itself; where they are rare, in runs, up to a loss twice.
    assert decode.calls < (901 if every < 10 else 2.5 * lost) + 40
    assert decode.bytes < 4 * len(text)


def test_runs_grow_through_losses() -> None:
    texts = [EVENT.replace(b'"ts":', b'"ts" ') if number % 50 == 0 else EVENT for number in range(1_000)]
    decode = _Counted()
    found = decode_pieces([Piece(text) for text in texts], decode, at_end=True)
    assert found.lost == list(range(0, 1_000, 50))
    assert decode.calls < 80


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda event: event.replace(b"1.5", b"1e30"), OverflowError),
        (lambda event: event.replace(b"1.5", b"[]"), ValueError),
        (lambda event: event.replace(b"nvjet", b"\xe9"), UnicodeError),
    ],
)
def test_an_error_that_tells_no_place_is_searched(damage: Callable[[bytes], bytes], error: type[Exception]) -> None:
    with pytest.raises(error):
        decode_events(damage(EVENT))
    texts = [EVENT] * 300
    texts[170] = texts[203] = damage(EVENT)
    decode = _Counted()
    found = decode_pieces([Piece(text) for text in texts], decode, at_end=True)
    assert found.lost == [170, 203]
    assert sum(len(chunk.events) for chunk in found.chunks) == 298
    assert decode.calls < 60


def test_an_event_that_may_go_on_is_left_for_the_next_stretch() -> None:
    begun = [EVENT, b'{"ph":"X","args":{"c":[{"name":"a"}', b'{"name":"b"}']
    assert decode_pieces(mend(begun), decode_events, at_end=False).end == 1
    assert decode_pieces(mend(begun), decode_events, at_end=True).lost == [1]
    broken = [begun[0], begun[1].replace(b'"c":', b'"c"'), begun[2], EVENT, EVENT]
    assert decode_pieces(mend(broken), decode_events, at_end=False).lost == [1]


@pytest.mark.parametrize("objects", [1, 7, 40])
def test_objects_in_a_list_are_decoded_with_their_event_alone(objects: int) -> None:
    listed = b",".join([b'{"name":1}'] * objects)
    good = EVENT.replace(b'[{"name":"a"},{"name":"b"}]', b"[" + listed + b"]")
    bad = good.replace(b'"cat":', b'"cat" ')
    decode = _Counted()
    result = salvage(b",".join([bad, good] * 100), decode=decode)
    assert (sum(bool(event.ph) for event in result.chunk.events), result.skipped) == (100, 100)
    assert decode.calls < 300


def test_an_object_whose_phase_is_damaged_is_a_lost_event_and_one_without_any_key_of_events_is_none() -> None:
    texts = [EVENT, b'{"name":1}', EVENT.replace(b'"ph"', b'"p\\0"'), EVENT.replace(b"1.5", b"1,5")]
    result = salvage(b",".join(texts), at_end=True)
    assert (len(result.chunk.events), result.skipped, result.repaired) == (2, 1, 1)
