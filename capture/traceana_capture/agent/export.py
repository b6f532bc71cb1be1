"""Writes what a window recorded: the profiler's trace as plain JSON, and beside it what is known of its calls."""

import json
import time
from pathlib import Path
from typing import Any

from traceana_capture.agent import flight, routes
from traceana_capture.agent.call_notes import CALLS
from traceana_capture.agent.paired import PAIRS
from traceana_capture.agent.profiler import end_anyway


def export(profiler: Any, trace: Path, reason: str) -> dict[str, Any]:
    """Stop the session and write it to `trace`; returns the message for the launcher. `.calls` is written last."""
    try:
        until = time.time_ns()
        profiler.stop()
        profiler.export_chrome_trace(str(trace))
        flight.write(trace.with_suffix(".flight"))
        facts = CALLS.export() | {"adapters": routes.ADAPTERS, "faults": routes.FAULTS, "pairs": PAIRS.export()}
        facts["pairs_ended"] = PAIRS.ended
        facts |= {"groups": flight.groups(), "until": until}
        trace.with_suffix(".calls").write_text(json.dumps(facts))
    except Exception as error:  # whatever it is, the program goes on
        return {"event": "failed", "reason": f"the export failed: {error!r}"}
    finally:
        end_anyway()
        # The object is part of a cycle and holds all events; collecting garbage would take the program's time.
        profiler.profiler = None
    return {"event": "done", "reason": reason, "trace": str(trace)}
