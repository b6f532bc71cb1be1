"""What a rank's host did: its operations one after the other, and the moments at which it had to wait."""

import msgspec
import numpy as np

from traceana.analyze.work import COPIES, LAUNCHES, RankWork
from traceana.trace.columns import WAITS, Bools, Ints

STREAM_WAITS = WAITS.index("stream on event")
_DEVICE = WAITS.index("device")
# CUDA keeps about a thousand launches for the device; the next one returns when one of them is done.
_FULL_QUEUE = 500
_STALL_NS = 50_000
# Stamps of the host and of the device differ by less.
_STAMPS_NS = 5_000


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """Host operations that waited: `op` are their rows, in order of their ends; `waiter` and `activity` are pairs of a
    row of `op` and an activity that had to end first.
    """

    op: Ints
    end_ns: Ints
    waiter: Ints
    activity: Ints


def blocked(work: RankWork) -> Blocked:
    """What the host waited for, and when it went on."""
    full = _stalled(work)
    waits = (work.host_does != LAUNCHES) & (work.host_does != STREAM_WAITS)
    # A call of no length waited for nothing.
    op = np.flatnonzero((waits | full) & (work.host_end_ns > work.host_start_ns))
    op = op[np.argsort(work.host_end_ns[op], kind="stable")]
    streams = [np.flatnonzero(work.stream == one) for one in np.unique(work.stream).tolist()]
    pairs = [(row, one) for row, at in enumerate(op.tolist()) for one in _held_by(work, at, streams)]
    waiter, activity = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Blocked(op=op, end_ns=work.host_end_ns[op], waiter=waiter, activity=activity)


def _stalled(work: RankWork) -> Bools:
    """Launches that waited for room in the queue."""
    launched = np.searchsorted(np.sort(work.launch), np.arange(len(work.host_start_ns)))
    done = np.searchsorted(np.sort(work.end_ns), work.host_end_ns)
    long = work.host_end_ns - work.host_start_ns > _STALL_NS
    return np.asarray((work.host_does == LAUNCHES) & long & (launched - done >= _FULL_QUEUE))


def _held_by(work: RankWork, op: int, streams: list[Ints]) -> list[int]:
    """The activities for whose end a host operation waited."""
    if work.host_does[op] == COPIES:
        return [int(one) for one in np.flatnonzero(work.launch == op)]
    whole = work.host_does[op] == _DEVICE
    until = int(work.host_end_ns[op]) + (_STAMPS_NS if whole else 0)
    found = [_last(work, rows, op, until) for rows in streams]
    known = [one for one in found if one >= 0]
    if whole:
        return known
    return [max(known, key=lambda one: int(work.end_ns[one]))] if known else []


def _last(work: RankWork, rows: Ints, op: int, until_ns: int) -> int:
    """Of a stream's activities the last one that was launched before `op` and over by `until_ns`, or -1."""
    place = int(np.searchsorted(work.end_ns[rows], until_ns, side="right")) - 1
    while place >= 0 and work.launch[rows[place]] > op:
        place -= 1
    return int(rows[place]) if place >= 0 else -1


def last_wait(start_ns: Ints, found: Blocked) -> Ints:
    """For each host operation the row of the wait that was over last before it began, or -1."""
    return np.searchsorted(found.end_ns, start_ns, side="right") - 1


def gaps(start_ns: Ints, wait: Ints, found: Blocked, first_ns: int) -> Ints:
    """For each operation the time since the one before it or, if that was later, since the host went on."""
    resumed = np.append(found.end_ns, first_ns)[wait]
    before = np.concatenate(([first_ns], start_ns[:-1])) if len(start_ns) else start_ns
    return np.asarray(start_ns - np.maximum(resumed, before))
