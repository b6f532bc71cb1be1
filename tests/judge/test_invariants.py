"""Good traces with changed bytes and values are read as far as they go, on hundreds of draws."""

from collections.abc import Callable

import pytest
from hypothesis import settings

from tests.invariants import HOLDS


@pytest.mark.parametrize("holds", HOLDS)
def test_on_hundreds_of_draws(holds: Callable[[], None]) -> None:
    settings(deadline=None, derandomize=True, max_examples=600)(holds)()
