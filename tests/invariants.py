"""Good traces with changed bytes: reading them neither crashes nor miscounts nor loses more than it must."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.traces import base
from tests.traces.cases import CASES, Case
from tests.traces.extreme import arguments
from traceana.analyze.measure import RankResult, measure_rank
from traceana.errors import TraceanaError

COMPACT = base.compact(base.good())
PRETTY = base.pretty(base.good())
EVENTS = COMPACT.index(b'"traceEvents":[') + len(b'"traceEvents":[')
EVENTS_END = COMPACT.rindex(b"]")
SOURCES = (COMPACT, PRETTY, base.packed(PRETTY), base.packed(COMPACT[:2000]) + base.packed(COMPACT[2000:]))
ANY_VALUE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([2**31, 2**32, 2**53, 2**63, 2**64 - 1, -1, 0, 1e15, 1e30, -1e30, 1e308, 0.5]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=3),
)


def measured(data: bytes) -> RankResult | None:
    """The result, or None for a file that is hopeless and says so."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rank0.json")
        path.write_bytes(data)
        try:
            result = measure_rank(path)
        except TraceanaError as error:
            message = str(error)
            result = None
    if result is None:
        assert str(path) in message
        assert "\n" not in message
    else:
        check_sums(result)
    return result


def check_sums(result: RankResult) -> None:
    split = result.split
    parts = (split.compute_ns, split.exposed_comm_ns, split.exposed_memory_ns, split.idle_ns)
    assert min(*parts, split.overlapped_comm_ns, split.memory_ns) >= 0
    assert sum(parts) == split.span_ns
    assert split.overlapped_comm_ns + split.exposed_comm_ns == split.comm_ns
    assert split.exposed_memory_ns <= split.memory_ns
    assert 0 <= result.comm_kernels <= result.kernels <= result.events
    assert result.damage.skipped_events >= 0


def whole_kernels(data: bytes) -> int:
    """How many of the good trace's kernels end inside `data`, an early part of COMPACT."""
    separators = [at for at in range(len(data)) if COMPACT.startswith(b'},{"', at)]
    starts = [EVENTS, *(at + 2 for at in separators if at > EVENTS)]
    ends = [at for at in (*starts[1:], len(COMPACT)) if at - 1 <= len(data)]
    return sum(b'"cat":"kernel"' in data[start:end] for start, end in zip(starts, ends, strict=False))


@given(cut=st.integers(EVENTS, EVENTS_END - 1))
def a_cut_keeps_every_whole_event(cut: int) -> None:
    result = measured(COMPACT[:cut])
    assert result is not None
    assert result.kernels == whole_kernels(COMPACT[:cut])
    assert result.damage.cut_short


@given(cut=st.integers(0, len(SOURCES[2]) - 1), source=st.sampled_from(SOURCES))
def any_cut_is_survived(cut: int, source: bytes) -> None:
    result = measured(source[:cut])
    assert result is None or result.kernels <= base.KERNELS


@given(at=st.integers(EVENTS + 1, EVENTS_END - 2), value=st.integers(0, 255))
def one_changed_byte_costs_two_kernels_at_most(at: int, value: int) -> None:
    result = measured(COMPACT[:at] + bytes([value]) + COMPACT[at + 1 :])
    assert result is not None
    assert base.KERNELS - 2 <= result.kernels <= base.KERNELS


@given(at=st.integers(EVENTS + 1, EVENTS_END - 2), length=st.integers(1, 40))
def a_hole_costs_the_events_around_it(at: int, length: int) -> None:
    result = measured(COMPACT[:at] + COMPACT[min(at + length, EVENTS_END - 1) :])
    assert result is not None
    assert base.KERNELS - 2 <= result.kernels <= base.KERNELS


@given(at=st.integers(EVENTS + 1, EVENTS_END - 2), inserted=st.binary(min_size=1, max_size=12))
def inserted_bytes_cost_two_kernels_at_most(at: int, inserted: bytes) -> None:
    result = measured(COMPACT[:at] + inserted + COMPACT[at:])
    assert result is not None
    assert result.kernels >= base.KERNELS - 2


@given(data=st.data(), source=st.sampled_from(SOURCES), changes=st.integers(1, 6))
def many_changes_anywhere_are_survived(data: st.DataObject, source: bytes, changes: int) -> None:
    content = bytearray(source)
    for _ in range(changes):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    measured(bytes(content))


@given(data=st.data(), value=ANY_VALUE)
def any_value_anywhere_is_survived(data: st.DataObject, value: object) -> None:
    content = base.good()
    kernel = data.draw(st.sampled_from(base.kernels_of(content)))
    place = data.draw(st.sampled_from((kernel, arguments(kernel))))
    place[data.draw(st.sampled_from(sorted(place)))] = value
    result = measured(base.compact(content))
    assert result is not None
    assert result.kernels >= base.KERNELS - 1


@given(data=st.binary(max_size=300))
def any_bytes_are_survived(data: bytes) -> None:
    measured(data)


@given(text=st.text(alphabet='{}[]",:\\0123456789.eE-+nulltraceEvents \n', max_size=200))
def anything_like_json_is_survived(text: str) -> None:
    measured(b'{"traceEvents": [' + text.encode())


@given(case=st.sampled_from([case for case in CASES if not case.hopeless]), chunk_bytes=st.integers(64, 4000))
def chunks_do_not_matter(case: Case, chunk_bytes: int) -> None:
    """A reader that decodes a chunk at a time sees the same events wherever its chunks end."""
    whole = measured(case.data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("traceana.trace.stream.CHUNK_BYTES", chunk_bytes)
        chunked = measured(case.data)
    assert whole is not None
    assert chunked is not None
    assert chunked.split == whole.split
    assert (chunked.events, chunked.kernels, chunked.damage) == (whole.events, whole.kernels, whole.damage)


HOLDS = (
    a_cut_keeps_every_whole_event,
    any_cut_is_survived,
    one_changed_byte_costs_two_kernels_at_most,
    a_hole_costs_the_events_around_it,
    inserted_bytes_cost_two_kernels_at_most,
    many_changes_anywhere_are_survived,
    any_value_anywhere_is_survived,
    any_bytes_are_survived,
    anything_like_json_is_survived,
    chunks_do_not_matter,
)
