"""Puts what is known of gloo's calls onto torch's own spans of them: sizes, group, and where they were issued.

Python's calls were noted by the agent as they came; those of C++ and the dispatcher are in torch's flight recorder.
"""

import bisect
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from traceana_capture.launcher import flight
from traceana_capture.launcher.enclosing import Enclosing, Event, end
from traceana_capture.launcher.flight import Entry, Group
from traceana_capture.launcher.modules import Places

# A collective takes several times as long to reach gloo.
CLOCK_ERROR_US = 2
C10D = "c10d::"
MONITORED = "c10d::monitored_barrier_"
GLOO = "gloo:"
SENDS = ("send", "recv")
AUTOGRAD = "autograd::engine::evaluate_function: "
MODULE = "nn.Module: "
NO_SITES = (GLOO, "nccl:", "traceana")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A call that Python issued: times in ns since the epoch; `begun` where gloo began before the call returned."""

    record: dict[str, Any]
    thread: int
    begin_ns: int
    returned_ns: int
    begun: bool


@dataclass(slots=True, kw_only=True)
class HostCall:
    """A call, and the span that gloo's work for it has: `title`, or any, begun from `first` to `last` (us)."""

    record: dict[str, Any]
    first: float
    last: float
    title: str | None
    issued: Event | None


def annotate_host(
    trace: Event, notes: Sequence[Note], entries: Sequence[Entry], groups: dict[str, Group], places: Places
) -> None:
    """Put each call's record and site onto gloo's span of it, or onto a span of ours where torch left none."""
    events, base = trace["traceEvents"], int(trace.get("baseTimeNanoseconds", 0))
    gloo, sites = _GlooSpans(events), _Sites(events)
    process = next((event["pid"] for event in events if isinstance(event.get("pid"), int)), 0)
    for call in _calls(events, base, notes, entries, groups):
        span = gloo.take(call)
        if span is None:
            span = {"ph": "X", "cat": "user_annotation", "name": f"{GLOO}{call.record['Collective name']}"}
            span |= {"ts": call.first, "dur": call.last - call.first if call.last < math.inf else 0}
            span |= {"pid": process, "tid": process}
            events.append(span)
        site = sites.of(call)
        module = places.keys(call.issued["tid"], call.issued["ts"]) if call.issued else {}
        span.setdefault("args", {}).update(module | call.record | ({"traceana site": site} if site else {}))
    _annotate_barriers(events, gloo)


def _annotate_barriers(events: Sequence[Event], gloo: "_GlooSpans") -> None:
    """What gloo sends within a monitored barrier belongs to that, and moves nothing of the program's."""
    barriers = Enclosing(event for event in events if event.get("name") == MONITORED)
    for span in (span for row, span in enumerate(gloo.spans) if row not in gloo.taken):
        if barriers.at(span.get("tid"), span["ts"]):
            record = {"Collective name": "barrier", "In msg nelems": 0, "Out msg nelems": 0}
            span.setdefault("args", {}).update(record)


def _calls(
    events: Sequence[Event], base: int, notes: Sequence[Note], entries: Sequence[Entry], groups: dict[str, Group]
) -> list[HostCall]:
    """Python's calls and C++'s, in the order in which they were issued."""
    issued, noted = _Issued(events), _Noted(notes)
    recorded = {id(note): entry for entry in entries if (note := noted.around(entry)) is not None}
    members = [note for note in notes if "Group size" in note.record]
    calls = [_of_note(note, recorded.get(id(note)), groups, base, issued) for note in members]
    for entry in entries:
        operator, group = issued.around((entry.time_created_ns - base) / 1000), groups.get(entry.process_group[0])
        # What the trace does not show, it should not: `--paired`'s own calls, and threads that are not recorded.
        if noted.around(entry) is None and operator is not None and group is not None:
            calls.append(_of_entry(entry, base, operator, group))
    return sorted(calls, key=lambda call: call.first)


def _of_note(note: Note, entry: Entry | None, groups: dict[str, Group], base: int, issued: "_Issued") -> HostCall:
    first, returned = (note.begin_ns - base) / 1000, (note.returned_ns - base) / 1000
    group = groups.get(entry.process_group[0]) if entry else None
    return HostCall(
        record=note.record | (flight.number(entry, group) if entry and group else {}),
        first=first,
        last=returned if note.begun else math.inf,
        title=entry.profiling_name if entry else None,
        issued=issued.from_to(first - CLOCK_ERROR_US, returned),
    )


def _of_entry(entry: Entry, base: int, operator: Event, group: Group) -> HostCall:
    return HostCall(
        record=flight.record(entry, flight.WORDS[operator["name"]], group),
        first=(entry.time_created_ns - base) / 1000,
        last=math.inf,
        title=entry.profiling_name,
        issued=operator,
    )


class _Noted:
    """The calls that Python noted, by thread."""

    def __init__(self, notes: Iterable[Note]) -> None:
        self.notes: dict[int, list[Note]] = defaultdict(list)
        for note in sorted(notes, key=lambda note: note.begin_ns):
            self.notes[note.thread].append(note)

    def around(self, entry: Entry) -> Note | None:
        """The call during which the recorder's entry came on the same thread."""
        mine = self.notes.get(int(entry.thread_id), [])
        at = bisect.bisect_right(mine, entry.time_created_ns, key=lambda note: note.begin_ns) - 1
        return mine[at] if at >= 0 and entry.time_created_ns <= mine[at].returned_ns else None


class _Issued:
    """c10d's operators, through which every call goes."""

    def __init__(self, events: Iterable[Event]) -> None:
        found = (event for event in events if event.get("cat") == "cpu_op" and _is_call(event))
        self.operators = sorted(found, key=lambda event: float(event["ts"]))
        self.starts = [event["ts"] for event in self.operators]

    def from_to(self, first: float, last: float) -> Event | None:
        """The first one that began in this time."""
        at = bisect.bisect_left(self.starts, first)
        return self.operators[at] if at < len(self.starts) and self.starts[at] <= last else None

    def around(self, time: float) -> Event | None:
        """The latest of those open at this time, of collectives."""
        at = bisect.bisect_right(self.starts, time + CLOCK_ERROR_US)
        near = (event for event in reversed(self.operators[max(0, at - 8) : at]) if event["name"] in flight.WORDS)
        return next((event for event in near if end(event) >= time - CLOCK_ERROR_US), None)


def _is_call(event: Event) -> bool:
    return str(event.get("name")).startswith(C10D)


class _GlooSpans:
    """Torch's own spans of gloo's work, each given away once."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.spans = sorted((e for e in events if str(e.get("name")).startswith(GLOO)), key=lambda e: float(e["ts"]))
        self.starts = [event["ts"] for event in self.spans]
        self.taken: set[int] = set()

    def take(self, call: HostCall) -> Event | None:
        """The first unused span that can be the call's, or None."""
        first = bisect.bisect_left(self.starts, call.first - CLOCK_ERROR_US)
        for row in range(first, bisect.bisect_right(self.starts, call.last)):
            if row not in self.taken and _fits(call, self.spans[row]["name"]):
                self.taken.add(row)
                return self.spans[row]
        return None


def _fits(call: HostCall, span: str) -> bool:
    """Whether the span may be the call's; where the recorder is silent, a send is told from a collective."""
    if call.title is not None:
        return span == call.title
    word = call.record["Collective name"]
    return span.startswith(f"{GLOO}{word}") if word in SENDS else not span.startswith(tuple(GLOO + w for w in SENDS))


class _Sites:
    """Where calls were issued: the innermost span or module, or the backward pass."""

    def __init__(self, events: Iterable[Event]) -> None:
        frames = [event for event in events if _is_site(event)]
        self.enclosing = Enclosing(frames)
        self.has_buckets = any(frame["name"].startswith("DistributedDataParallel.") for frame in frames)

    def of(self, call: HostCall) -> str | None:
        """The call's site, or None where it is not known."""
        around = self.enclosing.at(call.issued["tid"], call.issued["ts"]) if call.issued else []
        if not around:
            return None
        name = str(around[0]["name"])
        if not name.startswith(AUTOGRAD):
            return name.removeprefix(MODULE)
        return "backward, DDP bucket" if self._is_bucket(name, call.record) else "backward"

    def _is_bucket(self, function: str, record: dict[str, Any]) -> bool:
        """DDP's reducer sends a bucket where its last gradient was accumulated; its map of unused ones is of int32."""
        is_sum = str(record["Collective name"]).startswith("allreduce") and record["dtype"] != "Int"
        return self.has_buckets and is_sum and "AccumulateGrad" in function


def _is_site(event: Event) -> bool:
    name = str(event.get("name"))
    if event.get("ph") != "X" or event.get("cat") not in ("user_annotation", "cpu_op", "python_function"):
        return False
    starts = {"user_annotation": "", "cpu_op": AUTOGRAD, "python_function": MODULE}[event["cat"]]
    return name.startswith(starts) and not name.startswith(NO_SITES)
