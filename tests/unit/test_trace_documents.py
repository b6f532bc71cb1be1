"""Files into which more than one process wrote: the first trace is read, and the rest is named, never added to it."""

from pathlib import Path

import pytest

from tests.traces import base
from traceana.analyze.measure import RankResult, measure_rank

FIRST, SECOND = base.compact(base.good()), base.pretty(base.good(rank=1))
HEADER_LAST = base.compact({"traceEvents": base.good()["traceEvents"], **base.good()})
BARE = base.compact({"events": base.good()["traceEvents"]}).removeprefix(b'{"events":').removesuffix(b"}")
DAMAGED = FIRST.replace(b'"ph":"X"', b'"ph":"X\xff"', 1)
EVENTS_FIRST = b'{"traceEvents":' + BARE + b',"traceName":"a"}'


def measured(folder: Path, data: bytes) -> RankResult:
    file = folder / "trace.json"
    file.write_bytes(data)
    return measure_rank(file)


@pytest.mark.parametrize("between", [b"", b"\n", b"\r\n\n"])
@pytest.mark.parametrize("first", [FIRST, HEADER_LAST, SECOND, DAMAGED, EVENTS_FIRST, BARE], ids=range(6))
@pytest.mark.parametrize("second", [FIRST, SECOND, EVENTS_FIRST, BARE, FIRST[:900]], ids=range(5))
@pytest.mark.parametrize("chunk_bytes", [700, 8 << 20])
def test_a_second_document_is_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bytes, between: bytes, second: bytes, chunk_bytes: int
) -> None:
    monkeypatch.setattr("traceana.trace.stream.CHUNK_BYTES", chunk_bytes)
    result = measured(tmp_path, first + between + second)
    assert result.damage.other_traces
    assert (result.kernels, result.comm_kernels) == (base.KERNELS, base.COMM_KERNELS)


def test_the_rest_of_a_longer_trace_that_was_written_over_is_named(tmp_path: Path) -> None:
    longer = SECOND + SECOND[-900:]
    result = measured(tmp_path, FIRST + longer[len(FIRST) :])
    assert result.damage.other_traces
    assert result.kernels == base.KERNELS


@pytest.mark.parametrize("first", [FIRST, HEADER_LAST, SECOND, DAMAGED, EVENTS_FIRST, BARE], ids=range(6))
@pytest.mark.parametrize("end", [b"", b"\n", b"\0\0\0", b"}", b"]", b",\n"])
def test_one_document_is_one(tmp_path: Path, first: bytes, end: bytes) -> None:
    assert not measured(tmp_path, first + end).damage.other_traces
