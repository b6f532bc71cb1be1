import msgspec
import numpy as np
import pytest

from traceana.trace import reader
from traceana.trace.arguments import Arguments, decode_all_arguments
from traceana.trace.batches import batches
from traceana.trace.call_metadata import call_metadata
from traceana.trace.columns import CallMetadata
from traceana.trace.events import decode_events
from traceana.trace.rows import Rows, SpanRows
from traceana.trace.table import tabulated


def test_events_come_in_batches_of_their_category_with_starts_and_durations_in_nanoseconds() -> None:
    found = batches(
        tabulated(
            decode_events(
                b'{"ph":"X","cat":"kernel","name":"a","ts":1.5,"dur":2},{"ph":"s","cat":"kernel","ts":2},'
                b'{"ph":"X","cat":"cpu_op","name":"b","ts":3,"dur":0.0025},{"ph":"X","cat":"kernel","name":"c","ts":4}'
            )
        )
    )
    assert [event.name for event, _, _ in found["kernel"].each()] == ["a", "c"]
    assert found["kernel"].start.tolist() == [1500, 4000]
    assert found["kernel"].duration.tolist() == [2000, 0]
    assert found["cpu_op"].duration.tolist() == [2], "a half is rounded to the even nanosecond, as in Python"


def test_no_start_or_an_endless_duration_leaves_out_that_event_alone() -> None:
    found = batches(
        tabulated(
            decode_events(
                b'{"ph":"X","cat":"kernel","name":"no start"},{"ph":"X","cat":"kernel","name":"good","ts":7,"dur":1},'
                b'{"ph":"X","cat":"kernel","name":"endless","ts":8,"dur":1e300}'
            )
        )
    )
    assert [event.name for event, _, _ in found["kernel"].each()] == ["good"]
    assert (found["kernel"].start.tolist(), found["kernel"].left_out) == ([7000], 2)


def test_arguments_that_are_odd_cost_no_others() -> None:
    good, damaged = msgspec.Raw(b'{"correlation":4}'), msgspec.Raw(b'{"correlation":')
    odd = msgspec.Raw(b'{"correlation":"5","device":[]}')
    found = decode_all_arguments([good, odd, damaged, good])
    assert [None if args is None else args.correlation for args in found] == [4, 5, None, 4]


def test_rows_keep_their_order_however_they_are_added() -> None:
    rows = Rows(2)
    assert not rows
    assert [column.tolist() for column in rows.take()] == [[], []]
    rows.add(1, 10)
    rows.extend(np.array([2, 3]), [20, 30])
    rows.add(4, 40)
    assert [column.tolist() for column in rows.take()] == [[1, 2, 3, 4], [10, 20, 30, 40]]
    assert not rows, "what was taken is kept once"


@pytest.mark.parametrize(
    ("values", "width"), [([1, -3], 1), ([1, 100], 2), ([1, 1 << 20], 4), ([1, 1 << 40], 8), ([-(1 << 63)], 8)]
)
def test_rows_take_as_many_bytes_as_their_values_need(values: list[int], width: int) -> None:
    rows = Rows(1)
    rows.extend([0])
    rows.extend(values)
    (column,) = rows.take()
    assert (column.tolist(), column.dtype) == ([0, *values], np.dtype(f"i{width}"))


def test_a_kernel_takes_no_more_bytes_than_its_values_need() -> None:
    kernel = (
        b'{"ph":"X","cat":"kernel","name":"k","ts":3743411222578.748,"dur":2000.5,"args":{"device":7,"stream":40,'
        b'"correlation":%d,"External id":%d,"grid":[1,1,1],"block":[%d,1,1],"Collective name":"broadcast"}}'
    )
    found = reader.Reader()
    for place in range(300):
        found.add(decode_events(kernel % (place << 20, place << 20, place)))
    assert sum(column.itemsize for column in found.gpu.take()) <= 8 + 4 + 1 + 1 + 1 + 1 + 4 + 2 + 4 + 2


def test_times_are_counted_from_the_base_however_narrow_they_were() -> None:
    rows = SpanRows()
    rows.add(1, 2, 0, 7)
    found = rows.finish(10**18)
    assert (found.start_ns.tolist(), found.end_ns.tolist()) == ([10**18 + 1], [10**18 + 3])


def test_calls_of_which_the_same_is_said_are_kept_once() -> None:
    kernel = b'{"ph":"X","cat":"kernel","name":"k","ts":%d,"args":{"Collective name":"broadcast","Seq":%d}}'
    found = reader.Reader()
    for at, number in [(1, 4), (2, 4), (3, 5)]:
        found.add(decode_events(kernel % (at, number)))
    assert [call.seq for call in found.calls] == [4, 4, 5]
    assert found.calls[0] is found.calls[1]


def test_an_event_that_cannot_be_filed_costs_no_others_of_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(args: Arguments, name: str) -> CallMetadata:
        if args.collective == "damaged":
            raise ValueError
        return call_metadata(args, name)

    monkeypatch.setattr(reader, "call_metadata", damaged)
    kernel = b'{"ph":"X","cat":"kernel","name":"k","ts":%d,"args":{"Collective name":"%s"}}'
    events = b",".join(kernel % row for row in [(1, b"allreduce"), (2, b"damaged"), (3, b"broadcast")])
    found = reader.Reader()
    found.add(decode_events(events))
    assert found.gpu.take()[0].tolist() == [1000, 3000]
    assert found.skipped == 1
