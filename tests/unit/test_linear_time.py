"""Text that keeps a reader busy takes time in proportion to its length.

What is quadratic would take hours on these texts, so an alarm ends it; Python's own work is counted in calls and bytes.
"""

import signal
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.traces import base
from traceana.analyze.measure import measure_rank
from traceana.trace.events import Chunk, decode_events
from traceana.trace.file import Damage, TraceFile
from traceana.trace.identify import identify
from traceana.trace.salvage import last_boundary, salvage
from traceana.trace.stretches import Stretches

GOOD = base.compact(base.good())
START = GOOD.index(b'"traceEvents":[') + len(b'"traceEvents":[')
END = GOOD.rindex(b"}]") + 1
HEAD, EVENTS, TAIL = GOOD[:START], GOOD[START:END], GOOD[END:]
KERNEL = EVENTS[EVENTS.index(b'{"ph":"X","cat":"kernel"') :].partition(b"}},")[0] + b"}}"
MANY = 1 << 20


@pytest.fixture(autouse=True)
def _limit() -> Iterator[None]:
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.mark.parametrize(
    ("events", "tail"),
    [
        (EVENTS + b" " * MANY + b"x", TAIL),
        (EVENTS + b" " * MANY, TAIL),
        (EVENTS, b"]" + b" " * MANY + b"," + b" " * MANY + b"x"),
        (EVENTS, b"]" + b" " * MANY + b"x"),
        (EVENTS + b", {" + b" " * MANY, TAIL),
        (EVENTS + b",\n[" + b" " * MANY + b"{" + b" " * MANY, TAIL),
        (EVENTS + b"}" * MANY, TAIL),
        (EVENTS + b",{}" * MANY, TAIL),
        (EVENTS + b',"ph":"X"' * (MANY // 8), TAIL),
    ],
    ids=["blanks", "blanks before the end", "blanks behind it", "blanks, x", "open", "list", "braces", "empty", "ph"],
)
def test_blanks_and_braces_take_linear_time_and_cost_no_event(tmp_path: Path, events: bytes, tail: bytes) -> None:
    file = tmp_path / "rank0.json"
    file.write_bytes(HEAD + events + tail)
    assert identify(file).active
    assert measure_rank(file).kernels == base.KERNELS


@pytest.mark.parametrize("filler", [b" ", b"{},", b'"', b"[", b"\0"])
def test_a_small_file_that_unpacks_to_much_is_read_a_block_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filler: bytes
) -> None:
    monkeypatch.setattr("traceana.trace.stream.CHUNK_BYTES", 80 << 10)
    monkeypatch.setattr("traceana.trace.file._LIMIT", 640 << 10)
    monkeypatch.setattr("traceana.trace.stretches._DENSE_FROM", 160 << 10)
    packer = zlib.compressobj(9, wbits=31)
    block = filler * ((1 << 16) // len(filler))
    parts = [packer.compress(part) for part in (HEAD + EVENTS + b",", *[block] * 100, TAIL)]
    file = tmp_path / "rank0.json.gz"
    file.write_bytes(b"".join(parts) + packer.flush())
    assert measure_rank(file).kernels == base.KERNELS


def test_an_event_that_is_too_long_is_one_damaged_event() -> None:
    stretches = Stretches(KERNEL + b"," + KERNEL + b',{"name":"', limit=4_000)
    found = []
    for block in (b"a" * 3_000, b"a" * 3_000, b"a" * 9_000, b'"},' + KERNEL, b"," + KERNEL):
        found.append(stretches.add(block))
        if stretches.is_overlong:
            stretches.leave_out()
    whole = b",".join([*filter(None, found), stretches.pending])
    assert (stretches.overlong, whole.count(KERNEL)) == (1, 4)


def test_only_the_new_block_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []

    def counted(data: bytes, before: int = 0) -> int | None:
        searched.append(len(data) - before)
        return last_boundary(data, before)

    monkeypatch.setattr("traceana.trace.stretches.last_boundary", counted)
    stretches = Stretches(b'{"name":"', limit=1 << 20)
    for _ in range(100):
        stretches.add(b"a" * 1_000)
    assert max(searched) <= 1_000 + len(b'{"name":"')


def test_a_long_tail_is_left_out_and_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceana.trace.file._LIMIT", 4_000)
    monkeypatch.setattr("traceana.trace.stream.CHUNK_BYTES", 2_000)
    file = tmp_path / "rank0.json"
    file.write_bytes(GOOD[:-1] + b',"x":"' + b"a" * 9_000 + b'"}')
    result = measure_rank(file)
    assert result.kernels == base.KERNELS
    assert any("follow its events" in note for note in result.damage.notes)


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (lambda event: event.replace(b"nvjet", b'nv"j"et'), 0),
        (lambda event: event.replace(b'"ts":', b'"ts":"a",  "x":'), 0),
        (lambda event: event.replace(b'"grid"', b'"f":1,5,"grid"'), 300),
        (lambda event: event[:-1], 0),
    ],
    ids=["quotes", "types", "decimal comma", "no end"],
)
@pytest.mark.parametrize("good", [0, 1, 2], ids=["all", "every second", "every third"])
def test_a_damaged_event_is_decoded_a_few_times_only(damage, kept: int, good: int) -> None:  # type: ignore[no-untyped-def]
    calls = 0

    def decode(data: bytes) -> Chunk:
        nonlocal calls
        calls += 1
        return decode_events(data)

    result = salvage(b",".join([damage(KERNEL), *[KERNEL] * good] * 300) + b"," + KERNEL, decode=decode)
    assert (len(result.chunk.events), result.skipped) == (kept + 300 * good + 1, 300 - kept)
    assert calls <= 300 * (4 + good) + 10


def test_events_are_counted_not_pieces() -> None:
    nested = KERNEL[:-2] + b',"a":[{"name":1},{"name":2},{"name":3}],"b":"c"d"}}'
    result = salvage(b",".join([KERNEL, nested, KERNEL.replace(b'"}}', b'"'), KERNEL, KERNEL]))
    assert result.skipped == 1


@pytest.mark.parametrize("end", [b"", b',\x01:"X","cat":"kernel","args":{"a":1}}', b',{ ph":"X","args":{}}'])
def test_a_last_good_event_with_damage_behind_it_is_kept(end: bytes) -> None:
    nested = KERNEL[:-2] + b',"a":[{"name":1},{"name":2}],"b":3}}'
    for event in (KERNEL, nested):
        result = salvage(KERNEL + b"," + event + (end if event is KERNEL else b""), at_end=True)
        assert len(result.chunk.events) == 2


def test_a_good_event_with_objects_beside_damage_is_kept_over_the_border_of_a_stretch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = b'"a":[' + b",".join(b'{"name":%d}' % i for i in range(6)) + b"]"
    nested = KERNEL[:-2] + b"," + objects + b"}}"
    text = HEAD + b",".join([KERNEL.replace(b"nvjet", b'nv"j"et'), *[nested] * 20, KERNEL]) + TAIL
    file = tmp_path / "rank0.json"
    file.write_bytes(text)
    for chunk_bytes in (900, 1_000, 1_300, 2_100, 8 << 20):
        monkeypatch.setattr("traceana.trace.stream.CHUNK_BYTES", chunk_bytes)
        read = TraceFile(file)
        kernels = [event for chunk in read.chunks() for event in chunk.events if event.cat == "kernel"]
        assert (len(kernels), read.damage.skipped_events) == (21, 1)


def test_what_looks_like_the_end_is_decoded_where_the_decoder_stops_there_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    like_ends = KERNEL[:-2] + b',"a":[{"b":1}],"c":2}}'
    block = b",".join([KERNEL] * 30 + [like_ends] * 20 + [KERNEL.replace(b'"ts":', b'"ts" '), KERNEL])
    monkeypatch.setattr("traceana.trace.stream.CHUNK_BYTES", len(block) + 1)
    file = tmp_path / "rank0.json"
    file.write_bytes(HEAD + b",".join([block] * 20) + TAIL)
    decoded = 0

    def decode(data: bytes) -> Chunk:
        nonlocal decoded
        decoded += len(data)
        return decode_events(data)

    read = TraceFile(file, decode)
    assert sum(len(chunk.events) for chunk in read.chunks()) == 20 * 51
    assert read.damage == Damage(skipped_events=20)
    assert decoded < 5 * file.stat().st_size


@pytest.mark.parametrize("objects", [2, 12, 40])
def test_a_good_file_whose_events_list_objects_is_whole_over_the_borders_of_stretches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objects: int
) -> None:
    listed = b",".join([b'{"name":"a","args":{"b":1}}'] * objects)
    nested = KERNEL.replace(b'"args":{', b'"args":{"a":[' + listed + b"],")
    file = tmp_path / "rank0.json"
    file.write_bytes(HEAD + b",".join([nested] * 60) + TAIL)
    for chunk_bytes in (700, 3_000, 9_000):
        monkeypatch.setattr("traceana.trace.stream.CHUNK_BYTES", chunk_bytes)
        read = TraceFile(file)
        assert sum(event.cat == "kernel" for chunk in read.chunks() for event in chunk.events) == 60
        assert read.damage == Damage()


@pytest.mark.parametrize("count", [3, 40])
def test_a_good_file_whose_events_list_objects_is_whole(tmp_path: Path, count: int) -> None:
    nested = KERNEL[:-2] + b',"a":[{"name":1},{"name":2}],"b":3}}'
    file = tmp_path / "rank0.json"
    file.write_bytes(HEAD + b",".join([nested] * count) + TAIL)
    read = TraceFile(file)
    assert sum(len(chunk.events) for chunk in read.chunks()) == count
    assert read.damage == Damage()
