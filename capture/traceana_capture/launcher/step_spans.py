"""Writes a span for each step that capture counted, so that a training has steps.

A step is counted inside the span of an optimizer's step, or of the program's own iteration, and would cross it: its
begin and end are moved to that span's end.
"""

from collections.abc import Sequence

from traceana_capture.launcher.enclosing import Enclosing, Event, end

# Its number in the process, the thread, and when it began and ended, in nanoseconds since the epoch.
Step = tuple[int, int, int, int]


def add_steps(trace: Event, steps: Sequence[Step]) -> None:
    """Add `step N` to the trace's events, each on its thread."""
    events, base = trace["traceEvents"], int(trace.get("baseTimeNanoseconds", 0))
    spans = Enclosing(event for event in events if event.get("cat") == "user_annotation" and event.get("ph") == "X")
    process = next((event["pid"] for event in events if isinstance(event.get("pid"), int)), 0)
    for number, thread, begin_ns, end_ns in steps:
        begin, over = (begin_ns - base) / 1000, (end_ns - base) / 1000
        crossed = [span for span in spans.at(thread, begin) if end(span) < over]
        begin = max((begin, *map(end, crossed)))
        crossed = [span for span in spans.at(thread, over) if span["ts"] > begin]
        over = max((over, *map(end, crossed)))
        step = {"ph": "X", "cat": "user_annotation", "name": f"step {number}", "ts": begin, "dur": over - begin}
        events.append(step | {"pid": process, "tid": thread, "args": {}})
