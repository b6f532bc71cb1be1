"""Which spans were open on a thread at a time."""

import bisect
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

Event = dict[str, Any]


class Enclosing:
    """Complete events by thread, which nest there; times in the trace's microseconds."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._spans: dict[Any, list[Event]] = defaultdict(list)
        self._outer: dict[Any, list[int]] = {}
        for event in events:
            self._spans[event.get("tid")].append(event)
        for thread, spans in self._spans.items():
            spans.sort(key=lambda span: (span["ts"], -span.get("dur", 0)))
            self._outer[thread] = _outer(spans)
        self._starts = {thread: [span["ts"] for span in spans] for thread, spans in self._spans.items()}

    def at(self, thread: Any, time: float) -> list[Event]:
        """The spans around this time, the innermost first."""
        if thread not in self._starts:
            return []
        spans, outer = self._spans[thread], self._outer[thread]
        row, found = bisect.bisect_right(self._starts[thread], time) - 1, []
        while row >= 0:
            if end(spans[row]) >= time:
                found.append(spans[row])
            row = outer[row]
        return found


def end(span: Event) -> float:
    """When it ends."""
    return float(span["ts"]) + float(span.get("dur", 0))


def _outer(spans: list[Event]) -> list[int]:
    """For each span, in order of start, the one that it began in, or -1."""
    outer: list[int] = []
    opened: list[int] = []
    for row, span in enumerate(spans):
        while opened and end(spans[opened[-1]]) <= span["ts"]:
            opened.pop()
        outer.append(opened[-1] if opened else -1)
        opened.append(row)
    return outer
