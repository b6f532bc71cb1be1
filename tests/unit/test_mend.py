"""What is mended of a damaged event, what is left as it is, and that mending takes many events at once."""

import pytest

from traceana.trace.events import Chunk, decode_events
from traceana.trace.mend import Piece, mend
from traceana.trace.salvage import salvage

EVENT = b'{"ph":"X","cat":"kernel","name":"nvjet","ts":1.5,"dur":2.0,"args":{"a b":3}}'
DAMAGED = {
    b'{"ph":"X","name":"nv\x01jet"}': b'{"ph":"X","name":"nv jet"}',
    b'{"ph":"X","name":"nv\n\tjet"}': b'{"ph":"X","name":"nv  jet"}',
    b'{"ph":\x00"X"}': b'{"ph": "X"}',
    b'{"name":"nv\xe9"}': '{"name":"nv\N{REPLACEMENT CHARACTER}"}'.encode(),
    b'{"ts":NaN,"dur": -nan,"args":[inf,-Infinity]}': b'{"ts":null,"dur": null,"args":[null,null]}',
    b'{"ts":4,5,"dur": -7,757576\n,"x":1}': b'{"ts":4.5,"dur": -7.757576\n,"x":1}',
    b'{"name":"\\"NaN,\\\\","ts":NaN}': b'{"name":"\\"NaN,\\\\","ts":null}',
    b'{"name":"a\\\\","x":"\x1f\\"1,2}"}': b'{"name":"a\\\\","x":" \\"1,2}"}',
}
GOOD = (
    b'{\n\t"name": "f([nan, 1], {\\"a\\":1,5}, Infinity)",\r\n "args": {"l": [1,2,3], "n": null}}',
    b'{"name":"\\\\\\"NaN,","ts":1}',
    '{"name":"größer"}'.encode(),
    b'{"name":"nv"j"et"}',
    b'{"name":"\\\\\\" NaN","x":"\\\\"}',
)


@pytest.mark.parametrize(("damaged", "whole"), DAMAGED.items())
def test_known_damage_is_mended(damaged: bytes, whole: bytes) -> None:
    assert mend([EVENT, damaged, EVENT]) == [Piece(EVENT), Piece(whole, mended=True), Piece(EVENT)]


@pytest.mark.parametrize("text", GOOD)
def test_what_has_no_such_damage_is_left_as_it_is(text: bytes) -> None:
    assert mend([text, EVENT]) == [Piece(text), Piece(EVENT)]


def test_a_quote_too_few_touches_no_other_event() -> None:
    torn = b'{"name":"nvjet,"ts":NaN}'
    names = b'{"name":"[NaN, nan]"}'
    mended = mend([torn, names, b'{"ts":NaN}'])
    assert (mended[0].text, mended[0].mended, mended[0].torn) == (torn, False, True)
    assert mended[1:] == [Piece(names), Piece(b'{"ts":null}', mended=True)]


def test_batches_join_to_all_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceana.trace.mend._BATCH_BYTES", 3 * len(EVENT))
    long = EVENT.replace(b"nvjet", b"nvjet" * 90 + b"\x01")
    damaged = [EVENT.replace(b"1.5", b"NaN")] * 10
    mended = mend([*damaged, long, *damaged])
    assert [piece.mended for piece in mended] == [True] * 10 + [False] + [True] * 10
    assert {piece.text for piece in mended} == {EVENT.replace(b"1.5", b"null"), long}


def test_brackets_in_strings_are_none() -> None:
    texts = [EVENT, b'{"a":[{"b":"}}]"}', b'],"c":"\\"{"}}', b'{"a\\\\":"[\\\\\\"{"}']
    assert [piece.depth for piece in mend(texts)] == [0, 2, -3, 0]


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"1.5", b"NaN"), (b"2.0", b"2,0"), (b"nvjet", b"nv\x01jet"), (b"nvjet", b"nv\njet"), (b"nvjet", b"nv\xe9jet")],
    ids=["NaN", "decimal comma", "control character", "line", "UTF-8"],
)
@pytest.mark.parametrize("objects", [b"", b'"l":[{"name":1},{"name":2}],'], ids=["plain", "with objects"])
@pytest.mark.parametrize("every", [1, 3])
def test_a_file_of_damaged_events_is_decoded_a_few_times(old: bytes, new: bytes, objects: bytes, every: int) -> None:
    decoded: list[int] = []

    def decode(data: bytes) -> Chunk:
        decoded.append(len(data))
        return decode_events(data)

    good = EVENT.replace(b'"a b"', objects + b'"a b"')
    events = [good.replace(old, new) if number % every == 0 else good for number in range(600)]
    text = b",\n".join(events)
    result = salvage(text, at_end=True, decode=decode)
    assert (len(result.chunk.events), result.skipped, result.repaired) == (600, 0, 600 // every)
    # Runs double, whatever was mended: a decoder that is asked once an event takes most of the time.
    assert len(decoded) < 60
    assert sum(decoded) < 3 * len(text)
