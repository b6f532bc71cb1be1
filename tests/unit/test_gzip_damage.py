"""Gzip that is damaged: all that stands before the damage is kept, and a wrong checksum alone costs nothing."""

import gzip
import random
import zlib
from pathlib import Path

import pytest

from tests.analysis import analyze
from tests.traces import base
from traceana.analyze.measure import RankResult, measure_rank
from traceana.trace.stream import ByteStream

TEXT = b" ".join(str(random.Random(1).random()).encode() for _ in range(4_000))
WHOLE = gzip.compress(TEXT, mtime=0)


def unpacked(folder: Path, data: bytes) -> tuple[bytes, ByteStream]:
    file = folder / "file.gz"
    file.write_bytes(data)
    stream = ByteStream(file)
    return b"".join(stream), stream


def measured(folder: Path, data: bytes) -> RankResult:
    file = folder / "rank0.json.gz"
    file.write_bytes(data)
    return measure_rank(file)


@pytest.mark.parametrize("at", range(-8, 0))
def test_a_byte_of_the_checksum_or_the_length_costs_no_event_and_is_noted(tmp_path: Path, at: int) -> None:
    data = bytearray(base.packed(base.pretty(base.good())))
    data[at] ^= 1
    result = measured(tmp_path, bytes(data))
    assert (result.kernels, result.damage.cut_short, len(result.damage.notes)) == (base.KERNELS, None, 1)
    assert "checksum" in result.damage.notes[0]


def test_what_follows_a_member_of_a_wrong_checksum_is_read(tmp_path: Path) -> None:
    data = bytearray(WHOLE)
    data[-8] ^= 1
    text, stream = unpacked(tmp_path, bytes(data) + b"\0\0" + WHOLE + b"\0" * 9)
    assert (text, stream.cut_short, stream.bad_checksum) == (TEXT * 2, None, True)


@pytest.mark.parametrize("at", [30, 5_000, 17_000, len(WHOLE) - 40])
def test_all_before_a_block_that_cannot_be_is_kept(tmp_path: Path, at: int) -> None:
    # A stored block whose length and its complement do not agree (RFC 1951, 3.2.4) is damage at a known place.
    packer = zlib.compressobj(wbits=31)
    good = packer.compress(TEXT[:at]) + packer.flush(zlib.Z_FULL_FLUSH)
    text, stream = unpacked(tmp_path, good + b"\x00\xff\xff\xff\xff" + packer.compress(TEXT[at:]) + packer.flush())
    assert text == TEXT[:at]
    assert stream.cut_short is not None
    assert "damaged gzip data" in stream.cut_short


@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_byte_keeps_what_a_byte_by_byte_reader_gets(tmp_path: Path, seed: int) -> None:
    data, chosen = bytearray(WHOLE), random.Random(seed)
    data[chosen.randrange(12, len(data) - 8)] ^= 1 << chosen.randrange(8)
    member, expected = zlib.decompressobj(wbits=31), b""
    try:
        for byte in data:
            expected += member.decompress(bytes([byte]))
    except zlib.error:
        pass  # What came before it is what is expected.
    text, stream = unpacked(tmp_path, bytes(data))
    assert text == expected
    assert stream.cut_short or stream.bad_checksum


def test_a_member_a_byte_is_one_stream(tmp_path: Path) -> None:
    text, stream = unpacked(tmp_path, b"".join(gzip.compress(bytes([byte]), 1) for byte in TEXT[:3_000]))
    assert (text, stream.cut_short, stream.bad_checksum) == (TEXT[:3_000], None, False)


def test_the_report_notes_a_wrong_checksum_by_file(tmp_path: Path) -> None:
    data = bytearray(base.packed(base.pretty(base.good())))
    data[-5] ^= 1
    (tmp_path / "rank0.json.gz").write_bytes(data)
    coverage = analyze(tmp_path / "out", tmp_path / "rank0.json.gz").run["coverage"]
    assert (coverage["truncated_files"], coverage["skipped_events"]) == ([], 0)
    (note,) = coverage["notes"]
    assert note.startswith("rank0.json.gz: what gzip unpacked")
