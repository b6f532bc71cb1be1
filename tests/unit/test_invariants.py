"""Good traces with changed bytes and values are read as far as they go, on some draws; tests/judge has hundreds."""

from collections.abc import Callable

import pytest
from hypothesis import settings

from tests.invariants import HOLDS, SOURCES, measured
from tests.traces import base


@pytest.mark.parametrize("holds", HOLDS)
def test_on_some_draws(holds: Callable[[], None]) -> None:
    settings(deadline=None, derandomize=True, max_examples=50)(holds)()


@pytest.mark.parametrize("source", SOURCES)
def test_sources_are_good(source: bytes) -> None:
    result = measured(source)
    assert result is not None
    assert (result.kernels, result.comm_kernels, result.damage.skipped_events) == (base.KERNELS, base.COMM_KERNELS, 0)
    assert result.damage.cut_short is None
