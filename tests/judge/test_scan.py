"""Compiled code reads the same of a trace as what decodes its events one by one, on thousands of draws."""

from collections.abc import Callable

import pytest
from hypothesis import settings

from tests.scanning import HOLDS
from traceana.trace import table


@pytest.mark.skipif(not table.COMPILED, reason="traceana.trace.scan was not compiled here")
@pytest.mark.parametrize("holds", HOLDS)
def test_both_agree_on_thousands_of_draws(holds: Callable[[], None]) -> None:
    settings(deadline=None, derandomize=True, max_examples=2000)(holds)()
