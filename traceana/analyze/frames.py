"""What was open on a thread at a time: user spans, and `nn.Module`s where the trace has Python stacks.

Threads that open nothing of their own (autograd's, gloo's) count to the thread that opens most.
"""

import msgspec
import numpy as np

from traceana.analyze.intervals import in_parts
from traceana.analyze.numbered import base_name
from traceana.trace.columns import HostRows, Ints, RankTrace


class Sites(msgspec.Struct, frozen=True, kw_only=True):
    """Where calls were issued: `index` has one entry a call, into `names`, or -1 where nothing was open."""

    names: tuple[str, ...]
    index: Ints


def home_threads(frames: HostRows, thread: Ints) -> Ints:
    """The threads whose frames count for what happened on `thread`."""
    owners, counts = np.unique(frames.thread, return_counts=True)
    if not len(owners):
        return thread
    return np.where(np.isin(thread, owners), thread, owners[np.argmax(counts)])


def sites(trace: RankTrace, thread: Ints, at_ns: Ints) -> Sites:
    """The innermost span or module, without its number, around what was issued at `at_ns` on `thread`."""
    frames = _joined(trace.spans, trace.modules)
    row = innermost(frames, home_threads(frames, thread), at_ns)
    keys, index = np.unique(frames.key[row[row >= 0]], return_inverse=True)
    codes: dict[str, int] = {}
    named = [codes.setdefault(base_name(trace.names[key]), len(codes)) for key in keys.tolist()]
    found = np.full(len(row), -1, dtype=np.int64)
    found[row >= 0] = np.array(named, dtype=np.int64)[index]
    return Sites(names=tuple(codes), index=found)


def innermost(frames: HostRows, thread: Ints, at_ns: Ints) -> Ints:
    """For each time the row of the frame that was opened last of those open then on its thread, or -1."""
    found = np.full(len(at_ns), -1, dtype=np.int64)
    for owner in np.unique(frames.thread):
        rows = np.flatnonzero(frames.thread == owner)
        rows = rows[np.lexsort((-frames.end_ns[rows], frames.start_ns[rows]))]
        asked = np.flatnonzero(thread == owner)
        place = _last_open(frames.start_ns[rows], frames.end_ns[rows], at_ns[asked])
        found[asked] = np.where(place >= 0, rows[place], -1)
    return found


def chains(frames: HostRows, rows: Ints) -> list[tuple[int, ...]]:
    """For each of `rows` the frames that are open with it on its thread, the outermost first and itself last."""
    outer = np.full(len(frames.key), -1, dtype=np.int64)
    for owner in np.unique(frames.thread):
        mine = np.flatnonzero(frames.thread == owner)
        mine = mine[np.lexsort((-frames.end_ns[mine], frames.start_ns[mine]))]
        around = _outer(frames.end_ns[mine])
        outer[mine] = np.where(around >= 0, mine[around], -1)
    return [_chain(outer, row) for row in rows.tolist()]


def _chain(outer: Ints, row: int) -> tuple[int, ...]:
    chain = [row]
    while outer[chain[-1]] >= 0:
        chain.append(int(outer[chain[-1]]))
    return tuple(reversed(chain))


def _last_open(begin: Ints, end: Ints, at_ns: Ints) -> Ints:
    outer = _outer(end)
    place = np.searchsorted(begin, at_ns, side="right") - 1
    while True:
        over = (place >= 0) & (end[place] < at_ns)
        if not over.any():
            return place
        place = np.where(over, outer[place], place)


def _outer(end: Ints) -> Ints:
    """For each frame in order of start the one that it was opened in, or -1."""
    outer = np.full(len(end), -1, dtype=np.int64)
    open_: list[tuple[int, int]] = []
    for part in in_parts(len(end)):
        for row, last in enumerate(end[part].tolist(), start=part.start):
            # Frames of a thread nest, so one that ends before this one does is no part of what is open around it.
            while open_ and open_[-1][1] < last:
                open_.pop()
            outer[row] = open_[-1][0] if open_ else -1
            open_.append((row, last))
    return outer


def _joined(a: HostRows, b: HostRows) -> HostRows:
    return HostRows(
        start_ns=np.concatenate((a.start_ns, b.start_ns)),
        end_ns=np.concatenate((a.end_ns, b.end_ns)),
        thread=np.concatenate((a.thread, b.thread)),
        key=np.concatenate((a.key, b.key)),
    )
