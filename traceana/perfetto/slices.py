"""What a merge adds to a rank: a track of collectives, split into wait and transfer and tied to peers, and a counter.

The split is made of slices inside the collective's own, since Perfetto colours slices by name and passes over `cname`,
which chrome://tracing reads.
"""

from collections.abc import Iterator

from traceana import units
from traceana.analyze.collectives import Signature
from traceana.perfetto.call_rows import CallRows
from traceana.perfetto.counter import Counter
from traceana.perfetto.numbers import Numbers
from traceana.perfetto.whole_events import WholeEvent, arguments
from traceana.trace.columns import Ints

CATEGORY = "traceana"
_COLOURS = {"wait": "bad", "transfer": "good"}


def collective_slices(calls: CallRows, numbers: Numbers) -> Iterator[WholeEvent]:
    """A slice a call, with its wait and its transfer inside where it was matched."""
    place = numbers.collectives
    names = [_name(signature) for signature in calls.signatures]
    common = [_common(signature) for signature in calls.signatures]
    columns = (calls.start_ns, calls.end_ns, calls.wait_ns, calls.exposed_ns, calls.number, calls.last_rank)
    rows = zip(*(column.tolist() for column in (*columns, calls.signature, numbers.call_lanes)), strict=True)
    for start, end, wait, exposed, number, last, code, lane in rows:
        args = {**common[code], "exposed (ms)": exposed / 1e6}
        if number < 0:
            args["matched"] = "no"
        else:
            args |= {"collective": number, "last rank": last}
            args |= {"wait (ms)": wait / 1e6, "transfer (ms)": (end - start - wait) / 1e6}
        tid = place.tids[lane]
        yield _slice(names[code], place.pid, tid, start, end, args)
        if wait:
            yield _slice("wait", place.pid, tid, start, start + wait, {"for rank": last})
        if number >= 0:
            yield _slice("transfer", place.pid, tid, start + wait, end, {})


def collective_arrows(calls: CallRows, numbers: Numbers) -> Iterator[WholeEvent]:
    """The ends of arrows that lie on this rank."""
    yield from _arrow_ends("s", calls.sent, calls.start_ns, numbers)
    # Of two ends at one time Perfetto wants the start first in the file: a nanosecond makes the order of ranks free.
    yield from _arrow_ends("f", calls.received, calls.start_ns + calls.wait_ns + 1, numbers)


def counter_events(counter: Counter, numbers: Numbers) -> Iterator[WholeEvent]:
    """The counter's values; Perfetto puts the argument's name behind the counter's."""
    for at_ns, percent in zip(counter.at_ns.tolist(), counter.percent.tolist(), strict=True):
        yield WholeEvent(
            ph="C",
            cat=CATEGORY,
            name="exposed communication",
            pid=numbers.main,
            ts=at_ns / 1000,
            args=arguments({"%": round(percent, 3)}),
        )


def _arrow_ends(phase: str, ends: Ints, at_ns: Ints, numbers: Numbers) -> Iterator[WholeEvent]:
    place = numbers.collectives
    for call, arrow in ends.tolist():
        yield WholeEvent(
            ph=phase,
            cat=CATEGORY,
            name="waited for",
            id=arrow,
            pid=place.pid,
            tid=place.tids[int(numbers.call_lanes[call])],
            ts=int(at_ns[call]) / 1000,
            bp="e" if phase == "f" else None,
        )


def _slice(name: str, pid: int, tid: int, start: int, end: int, args: dict[str, object]) -> WholeEvent:
    return WholeEvent(
        ph="X",
        cat=CATEGORY,
        name=name,
        pid=pid,
        tid=tid,
        ts=start / 1000,
        dur=(end - start) / 1000,
        cname=_COLOURS.get(name),
        args=arguments(args),
    )


def _name(signature: Signature) -> str:
    if signature.message_bytes is None:
        return signature.op
    return f"{signature.op} {units.size(signature.message_bytes)}"


def _common(signature: Signature) -> dict[str, object]:
    known = {
        "backend": signature.backend,
        "library": signature.library,
        "dtype": signature.dtype,
        "bytes": signature.message_bytes,
        "group": None if signature.group is None else units.number_ranges(signature.group),
    }
    return {key: value for key, value in known.items() if value is not None}
