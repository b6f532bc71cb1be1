"""One trace file from its first byte to its last, a few megabytes at a time, whatever state it is in."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from traceana_capture.reading import DECODE_ERRORS

from traceana.errors import TraceanaError
from traceana.trace.ends import EVENTS_START, end_before, last_end, other_start
from traceana.trace.events import Chunk, Decode, decode_events
from traceana.trace.header import Header, decode_header, split_object
from traceana.trace.stream import ByteStream

if TYPE_CHECKING:
    from traceana.trace.stretches import Stretches
    from traceana.trace.table import Table

_LIMIT = 64 << 20
_BARE_ARRAY_LIMIT = 1 << 10
_BARE_ARRAY = re.compile(rb'\s*\[(?=\s*\{\s*"(?:ph|cat|name|pid|tid|ts|dur|id|args|s|bp)")')
_WHITE = b"\0 \t\r\n"
_BAD_CHECKSUM = "what gzip unpacked is not what its checksum is of: some values may be damaged"
NO_EVENT = "holds no whole event: nothing was recorded, or the file was cut off at once"
_LONG_TAIL = f"more than {_LIMIT >> 20} MiB follow its events, and were left out"


class NotATraceError(TraceanaError):
    """The file holds no trace events."""


@dataclass(slots=True)
class Damage:
    """What was wrong with a file. `cut_short` says how it ends early, or is None.

    `other_traces` says that more follows the trace's end, as when two processes export to one path; it is left out.
    `notes` are of what may be wrong.
    """

    skipped_events: int = 0
    repaired_events: int = 0
    cut_short: str | None = None
    other_traces: bool = False
    notes: list[str] = field(default_factory=list)

    def in_words(self) -> list[str]:
        """A line for each kind of damage."""
        lines = [f"ends early: {self.cut_short}"] if self.cut_short else []
        lines += [f"{self.skipped_events} damaged events were left out"] if self.skipped_events else []
        lines += [f"{self.repaired_events} damaged events were repaired"] if self.repaired_events else []
        lines += ["holds more than one trace, of which the first is read"] if self.other_traces else []
        return lines + self.notes


class _Part(NamedTuple):
    """The events of a stretch, what of it is left for the next one, and whether the events ended in it."""

    chunk: "Chunk | Table"
    rest: bytes
    ended: bool


def _unscanned(_data: bytes) -> None:
    """Every stretch is decoded."""


@dataclass(slots=True)
class TraceFile:
    """A trace file. Iterate over `chunks()` or `stretches()` once; `header` and `damage` are complete after that.

    Raises NotATraceError where the file holds no events, TraceanaError where it cannot be read.
    """

    path: Path
    decode: Decode = decode_events
    scan: "Callable[[bytes], Table | None]" = _unscanned
    """Asked first for whole events; what it answers None to is decoded."""
    header: Header = field(default_factory=Header)
    damage: Damage = field(default_factory=Damage)

    def peek(self) -> Header:
        """The keys before the events; reads no further."""
        self.raw_events()
        return self.header

    def raw_events(self) -> tuple[bytes, Iterator[bytes]]:
        """Fill `header` from the keys before the events; return the bytes behind their `[`, and those to come."""
        return self._read_head(ByteStream(self.path))

    def chunks(self) -> Iterator[Chunk]:
        """All whole events in file order, decoded."""
        return (chunk for chunk in self.stretches() if isinstance(chunk, Chunk))

    def stretches(self) -> "Iterator[Chunk | Table]":
        """All whole events in file order, scanned where `scan` can."""
        # Whoever only peeks has no use for what cuts and mends events, which imports numpy.
        from traceana.trace.stretches import Stretches

        stream = ByteStream(self.path)
        pending, blocks = self._read_head(stream)
        stretches = Stretches(pending, _LIMIT)
        ended = pending.lstrip().startswith(b"]")
        for block in blocks if not ended else ():
            part = self._part(stretches, block)
            if part is not None:
                chunk, stretches.pending, ended = part
                yield chunk
            if ended:
                break
        pending = stretches.pending
        if not ended:
            chunk, pending, _ = self._last(pending) or self._salvage_last(pending)
            yield chunk
        self._read_tail(pending, blocks)
        self.damage.skipped_events += stretches.overlong
        self.damage.cut_short = stream.cut_short or self.damage.cut_short
        if stream.bad_checksum:
            self.damage.notes.append(_BAD_CHECKSUM)

    def _blocks(self, stream: ByteStream) -> Iterator[bytes]:
        try:
            yield from stream
        except OSError as error:
            raise TraceanaError(
                f"{self.path}: cannot be read ({error.strerror}); check the path and its permissions"
            ) from error

    def _read_head(self, stream: ByteStream) -> tuple[bytes, Iterator[bytes]]:
        """Fill `header` from the keys before the events; return what follows the events' `[`, and what is to come."""
        head, blocks = b"", self._blocks(stream)
        for block in blocks:
            head += block
            bare = _BARE_ARRAY.match(head)
            if bare:
                return head[bare.end() :], blocks
            start = EVENTS_START.search(head)
            if start:
                self.header = decode_header(head[: start.start()] + b'"traceEvents":[]}')
                return head[start.end() :], blocks
            if not _may_begin_trace(head):
                break
        if not head.strip():
            reason = f"holds {stream.cut_short}" if stream.cut_short else "is empty"
            raise NotATraceError(f"{self.path}: {reason}; capture this rank again or remove the file")
        raise NotATraceError(
            f"{self.path}: holds no traceEvents; name a Chrome trace of torch.profiler (.json or .json.gz)"
        )

    def _part(self, stretches: "Stretches", block: bytes) -> _Part | None:
        """The events that a block completes, or None where it completes none."""
        body = stretches.add(block)
        if body:
            return self._decode(body, stretches.pending)
        last = self._last(stretches.pending) if stretches.is_overlong else None
        if stretches.is_overlong and last is None:
            stretches.leave_out()
        return last

    def _decode(self, body: bytes, rest: bytes) -> _Part:
        try:
            return _Part(self._whole(body), rest, ended=False)
        except DECODE_ERRORS as error:
            # Either the events end in here or one of them is damaged.
            return self._ending(body + b"," + rest, error) or self._salvage(body, rest)

    def _whole(self, data: bytes) -> "Chunk | Table":
        table = self.scan(data)
        return self.decode(data) if table is None else table

    def _last(self, data: bytes) -> _Part | None:
        """The events before the `]` that ends them and the bytes from there on, or None where it is not there."""
        try:
            self.decode(data)
        except DECODE_ERRORS as error:
            return self._ending(data, error)
        return None

    def _ending(self, data: bytes, error: Exception) -> _Part | None:
        """As `_last`, of data that cannot be decoded."""
        end = end_before(data, error)
        try:
            return _Part(self._whole(data[:end]), data[end:], ended=True) if end is not None else None
        except DECODE_ERRORS:
            return None

    def _salvage(self, body: bytes, rest: bytes) -> _Part:
        """What a damaged stretch holds, up to where another trace begins."""
        from traceana.trace.salvage import salvage

        if other_start(body) is not None:
            return self._salvage_last(body + b"," + rest)
        result = salvage(body, decode=self.decode)
        self._count(result.skipped, result.repaired)
        unfinished = result.unfinished + b"," if result.unfinished else b""
        return _Part(result.chunk, unfinished + rest, ended=False)

    def _salvage_last(self, data: bytes) -> _Part:
        """The events of a damaged stretch before the end of the trace, and the top-level keys after them."""
        from traceana.trace.salvage import events_in, salvage

        other = other_start(data)
        data = data if other is None else data[: other + 1]
        self.damage.other_traces |= other is not None
        end = last_end(data)
        cut = len(data) if end is None else end
        result = salvage(data[:cut], at_end=True, decode=self.decode)
        lost = len(result.unfinished.strip(b"] \t\r\n"))
        left_out = max(events_in(result.unfinished), 1) if end is not None and lost else 0
        self._count(result.skipped + left_out, result.repaired)
        if end is None:
            self.damage.cut_short = f"the JSON ends among its events; {lost} bytes of an unfinished one were left out"
        return _Part(result.chunk, data[cut:], ended=True)

    def _count(self, skipped: int, repaired: int) -> None:
        self.damage.skipped_events += skipped
        self.damage.repaired_events += repaired

    def _read_tail(self, tail: bytes, blocks: Iterator[bytes]) -> None:
        """Complete `header` by the keys after the events; what follows them is passed over."""
        for block in blocks:
            tail += block if len(tail) <= _LIMIT else b""
        if len(tail) > _LIMIT:
            self.damage.notes.append(_LONG_TAIL)
            return
        keys, others = split_object(b"{" + tail.lstrip(b"], \t\r\n"))
        self.damage.other_traces |= bool(others.strip(b"}]," + _WHITE))
        self.header = self.header.completed_by(decode_header(keys))


def _may_begin_trace(head: bytes) -> bool:
    """Whether events may still follow these first bytes."""
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return (first in b"{" and len(head) <= _LIMIT) or (first == b"[" and len(head) <= _BARE_ARRAY_LIMIT)
