"""What `--paired` measured: kept beside the trace, and its extra calls taken out of the trace."""

import bisect
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

SPAN = "traceana paired"


def without_pairs(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events of the program's own calls: all but those inside our spans, and what was launched there."""
    spans = [event for event in events if event.get("name") == SPAN]
    if not spans:
        return list(events)
    threads = _Times((event["tid"], event) for event in spans if event.get("cat") == "user_annotation")
    everywhere = _Times((None, event) for event in spans if event.get("cat") == "user_annotation")

    def ours(event: dict[str, Any]) -> bool:
        # Gloo works in threads of its own while the call waits for it.
        on_gloo = everywhere.hold(None, event) and str(event.get("name")).startswith("gloo:")
        return event.get("name") == SPAN or on_gloo or threads.hold(event.get("tid"), event)

    host = {id(event) for event in events if ours(event)}
    launched = {_correlation(event) for event in events if id(event) in host} - {None}
    return [event for event in events if id(event) not in host and _correlation(event) not in launched]


class _Times:
    """Spans by key, none inside another."""

    def __init__(self, spans: Iterable[tuple[Any, dict[str, Any]]]) -> None:
        self.begins: dict[Any, list[float]] = defaultdict(list)
        self.ends: dict[Any, list[float]] = defaultdict(list)
        for key, span in sorted(spans, key=lambda pair: float(pair[1]["ts"])):
            self.begins[key].append(span["ts"])
            self.ends[key].append(span["ts"] + span["dur"])

    def hold(self, key: Any, event: dict[str, Any]) -> bool:
        """Whether the event lies in one of the key's spans."""
        if key not in self.begins or not isinstance(event.get("ts"), (int, float)):
            return False
        at = bisect.bisect_right(self.begins[key], event["ts"]) - 1
        return at >= 0 and event["ts"] + event.get("dur", 0) <= self.ends[key][at]


def _correlation(event: dict[str, Any]) -> Any:
    if event.get("cat") not in ("kernel", "gpu_memcpy", "gpu_memset", "cuda_runtime", "cuda_driver"):
        return None
    return event.get("args", {}).get("correlation")


def beside(trace: Path) -> Path:
    """Where the pairs of `rank<N>.json.gz` are kept."""
    return trace.with_name(f"paired.{trace.name.removesuffix('.json.gz')}.jsonl")


def write(pairs: Sequence[dict[str, Any]], partial: Path, target: Path) -> None:
    """One pair a line, in order of time; no file where there are none. Raises OSError."""
    if pairs:
        partial.write_bytes(b"".join(msgspec.json.encode(pair) + b"\n" for pair in pairs))
        partial.replace(target)
