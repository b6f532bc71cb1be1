"""Ends a window in a healthy process: after its time, at its memory, or before the job kills the process."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from traceana_capture.agent.profiler import own_bytes

LOOK_S = 0.2


def watch(settings: dict[str, Any], request: Path, done: threading.Event, close: Callable[[str], None]) -> None:
    """Look until the window is `done` in a thread of its own; the file `request` is how `kills` asks for its end."""
    end = time.monotonic() + settings["duration_s"]
    most = own_bytes() + (settings["max_memory_mib"] << 20)

    def look() -> None:
        while not done.wait(min(LOOK_S, max(0.0, end - time.monotonic()))):
            if time.monotonic() >= end:
                return close("the duration was over")
            if own_bytes() > most:
                return close("the process had grown by --max-memory")
            if request.exists():
                close("its job was about to kill it")
                return request.unlink(missing_ok=True)
        return None

    threading.Thread(target=look, daemon=True).start()
