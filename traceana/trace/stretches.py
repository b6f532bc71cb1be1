"""Cuts what comes in blocks between events, so that each stretch holds whole ones; one that is too long is left out."""

from traceana.trace.salvage import last_boundary, next_event

_BETWEEN = b", \t\r\n"
# No name has as many blanks in a row.
_MANY_BLANKS = 4 << 10
# The least that an event of a real trace takes; decoded events take many times that.
_LEAST_EVENT_BYTES = 24
_DENSE_FROM = 16 << 20


class Stretches:
    """`pending` is what is left after the last cut; `overlong` counts events of more than `limit` bytes, left out."""

    def __init__(self, pending: bytes, limit: int) -> None:
        self.pending = pending
        self.overlong = 0
        self._limit = limit
        self._searched = 0
        self._inside_overlong = False

    def add(self, block: bytes) -> bytes:
        """The events that are whole by now, empty where none is."""
        self.pending += block
        if self._inside_overlong:
            self._resume()
        cut = last_boundary(self.pending, self._searched)
        if cut is not None:
            body, self.pending, self._searched = self.pending[:cut], self.pending[cut:].lstrip(_BETWEEN), 0
            return body
        if self.pending[-_MANY_BLANKS:].isspace():
            self.pending = self.pending.rstrip() + b" "
        self._searched = len(self.pending)
        if self._is_dense():
            self.leave_out()
        return b""

    @property
    def is_overlong(self) -> bool:
        """Whether what is pending is too long for an event."""
        return len(self.pending) > self._limit

    def leave_out(self) -> None:
        """Drop what is pending, and what comes up to another event."""
        self.overlong += 1
        self._inside_overlong = True
        self.pending, self._searched = b"", 0

    def _is_dense(self) -> bool:
        size = len(self.pending)
        return size > _DENSE_FROM and self.pending.count(b"{") > size // _LEAST_EVENT_BYTES

    def _resume(self) -> None:
        """Go on with the first event that follows another one."""
        start = next_event(self.pending)
        if start is None:
            # What begins with the last brace may show to be a boundary.
            brace = self.pending.rfind(b"}", max(len(self.pending) - _MANY_BLANKS, 0))
            self.pending = self.pending[brace:] if brace >= 0 else b""
        else:
            self.pending, self._inside_overlong = self.pending[start:], False
