"""What a window does while another thread closes it."""

from typing import Any

import pytest
from traceana_capture import window
from traceana_capture.calls import Calls


def test_a_collective_does_not_wait_for_another_threads_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank that waits may be the one that the export waits for."""
    fresh = Calls()
    monkeypatch.setattr(window, "CALLS", fresh)
    control: Any = None
    exporting = window.Window({}, control)
    exporting.profiler, exporting._stopper, fresh.over = object(), -1, True
    monkeypatch.setattr(exporting._done, "wait", lambda: pytest.fail("waited"))
    exporting.collective()
