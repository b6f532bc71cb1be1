"""An engine that is not there is named, and what to do."""

import sys
import types

import pytest

from traceana.errors import TraceanaError
from traceana.pool import each


def test_an_engine_that_is_unknown_or_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TraceanaError, match="name an engine"):
        each(str, [1], 0, print, engine="spark:host")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(TraceanaError, match=r"traceana\[dask\]"):
        each(str, [1], 0, print, engine="dask:tcp://host:8786")


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError("timed out")

    monkeypatch.setitem(sys.modules, "distributed", types.SimpleNamespace(Client=refused))
    with pytest.raises(TraceanaError, match="no scheduler answers there"):
        each(str, [1], 0, print, engine="dask:tcp://host:8786")


def test_results_keep_their_order_and_an_error_takes_its_place() -> None:
    seen: list[int] = []
    results = each(_halved, [4, 3, 2], 1, lambda done, *_: seen.append(done))
    assert [results[0], results[2]] == [2, 1]
    assert isinstance(results[1], TraceanaError)
    assert seen == [1, 2, 3]


def _halved(number: int) -> int:
    if number % 2:
        raise TraceanaError("odd")
    return number // 2
