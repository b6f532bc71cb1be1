"""Compiled code reads the same of a trace as what decodes its events one by one; tests/judge has hundreds of draws."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from tests.scanning import HOLDS, columns_of
from traceana.trace import table
from traceana.trace.read import read_rank

H200 = Path(__file__).parents[1] / "traces" / "h200" / "torch-2r"

needs_compiled = pytest.mark.skipif(not table.COMPILED, reason="traceana.trace.scan was not compiled here")


@needs_compiled
@pytest.mark.parametrize("holds", HOLDS)
def test_both_agree_on_some_draws(holds: Callable[[], None]) -> None:
    settings(deadline=None, derandomize=True, max_examples=40)(holds)()


@needs_compiled
def test_real_traces_are_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    def noted(data: bytes) -> table.Table | None:
        found.append(table.scanned(data))
        return found[-1]

    monkeypatch.setattr("traceana.trace.read.scanned", noted)
    read_rank(next(H200.glob("*0.json.gz")))
    assert found
    assert None not in [one and one.events for one in found]


# Each costs its event, its arguments or its stretch the quick way, and changes nothing of what is read.
@needs_compiled
@pytest.mark.parametrize(
    "event",
    [
        b'{"ph":"X","cat":"kernel","name":"k","ts":1,"args":{"dtype":2,"Sequence nu\xffer":"","device":7}}',
        b'{"ph":"X","cat":"gpu_user_annotation","name":"nccl:a","ts":1,"tid":7.0},'
        b'{"ph":"X","cat":"gpu_user_annotation","name":"nccl:a","ts":2,"tid":7}',
        b'{"ph":"X","cat":"kernel","name":"\\u006b","ts":1},{"ph":"X","cat":"kernel","name":"k","ts":2}',
        b'{"ph":"X","cat":"kernel","name":"k","ts":1,"ts":2}',
        b'{"ph":"X","cat":"kernel","name":"k","ts":1,"args":{"stream":1,"stream":"2"}}',
        b'{"ph":"X","cat":"cpu_op","name":"o","ts":1,"args":{"Sequence number":281474976710657}}',
        b'{"ph":"M","name":"\xff"}',
        b'{"ph":"M","tid":[]}',
        b"",
    ],
)
def test_what_is_unusual_is_read_alike(event: bytes) -> None:
    good = b'{"ph":"X","cat":"kernel","name":"k","ts":0.001,"dur":5.5,"args":{"device":0,"stream":7,"correlation":3}}'
    for events in (event, event + b"," + good, good + b"," + event):
        assert columns_of(events, compiled=True) == columns_of(events, compiled=False)


@needs_compiled
def test_times_are_exact_up_to_the_last_that_is_scanned() -> None:
    found = table.scanned(
        b'{"ph":"X","ts":4599999999999999.999,"dur":1099511627775.999},{"ph":"X","ts":-4632873350263.944,"dur":0.001}'
    )
    assert found is not None
    assert found.start.tolist() == [4599999999999999999, -4632873350263944]
    assert found.duration.tolist() == [1099511627775999, 1]


def test_nothing_is_scanned_where_nothing_was_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "scan", None)
    assert table.scanned(b"") is None
