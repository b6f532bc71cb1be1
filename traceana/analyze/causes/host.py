"""Where the host was while a GPU waited for its next launch: in which operator, Python frame or span."""

import re
from collections.abc import Iterator

import msgspec
import numpy as np

from traceana.analyze.causes.idle import HOST_BEHIND, Gaps
from traceana.analyze.frames import home_threads, innermost
from traceana.analyze.intervals import Intervals, inside, touching, union
from traceana.analyze.numbered import base_name
from traceana.trace.columns import Bools, HostRows, Ints, RankTrace

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
Place = tuple[str, str]
"""Kind and name, as in the report's HostPlace."""
NOTHING: Place = ("nothing", "")


class Stretches(msgspec.Struct, frozen=True, kw_only=True):
    """Disjoint stretches of time, each with its place among `names`."""

    start_ns: Ints
    end_ns: Ints
    name: Ints
    names: tuple[Place, ...]


def host_behind(trace: RankTrace, gaps: Gaps, launched: Ints) -> Stretches:
    """The time of `gaps` in which the host was behind; `launched` is each gap's row of RankTrace.launches, or -1."""
    behind = np.flatnonzero((gaps.before == HOST_BEHIND) & (gaps.turn_ns > gaps.start_ns) & (launched >= 0))
    thread = trace.launches.thread[launched[behind]]
    codes: dict[Place, int] = {}
    found = [
        piece
        for one in np.unique(thread).tolist()
        for piece in _on_thread(
            trace, one, union(gaps.start_ns[behind[thread == one]], gaps.turn_ns[behind[thread == one]]), codes
        )
    ]
    start, end, name = (np.concatenate(column) for column in zip(*found, strict=True)) if found else (_none(),) * 3
    return Stretches(start_ns=start, end_ns=end, name=name, names=tuple(codes))


def _none() -> Ints:
    return np.zeros(0, dtype=np.int64)


def _on_thread(
    trace: RankTrace, thread: int, idle: Intervals, codes: dict[Place, int]
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Starts, ends and codes of what the thread was in during `idle`, its outermost operators first."""
    operators = _during(idle, _outermost(trace.operators, thread))
    stacks = len(trace.frames.key) > 0
    around = _during(idle, _of_thread(trace.frames if stacks else trace.spans, thread))
    begin, finish = _cut(idle, operators, around)
    middle = (begin + finish) // 2
    within = np.searchsorted(operators.start_ns, middle, side="right") - 1
    inside_one = (within >= 0) & (middle < np.append(operators.end_ns, 0)[within])
    key = operators.key[within[inside_one]]
    yield begin[inside_one], finish[inside_one], _coded("operator", key, trace.host_names, codes)
    begin, finish, middle = begin[~inside_one], finish[~inside_one], middle[~inside_one]
    row = innermost(around, home_threads(around, np.full(len(middle), thread)), middle)
    open_, names = row >= 0, trace.host_names if stacks else trace.names
    yield begin[open_], finish[open_], _coded("frame" if stacks else "span", around.key[row[open_]], names, codes)
    code = codes.setdefault(NOTHING, len(codes)) if not open_.all() else 0
    yield begin[~open_], finish[~open_], np.full(int((~open_).sum()), code)


def _coded(kind: str, key: Ints, names: tuple[str, ...], codes: dict[Place, int]) -> Ints:
    used, index = np.unique(key, return_inverse=True)
    cleaned = [_ADDRESS.sub("", names[one]) for one in used.tolist()]
    places = [(kind, base_name(name) if kind == "span" else name) for name in cleaned]
    return np.array([codes.setdefault(place, len(codes)) for place in places], dtype=np.int64)[index]


def _outermost(rows: HostRows, thread: int) -> HostRows:
    """The rows of a thread that lie in no other, in order."""
    mine = _picked(rows, rows.thread == thread)
    start, end = mine.start_ns, mine.end_ns
    # What was read in order has no others in it, and needs no copies.
    if (start[1:] > start[:-1]).all() and (start[1:] >= end[:-1]).all():
        return mine
    order = np.lexsort((-end, start))
    # An operator that begins before all earlier ones have ended lies in one of them.
    outer = np.ones(len(order), dtype=np.bool_)
    outer[1:] = start[order[1:]] >= np.maximum.accumulate(end[order])[:-1]
    return _picked(mine, order[outer])


def _of_thread(rows: HostRows, thread: int) -> HostRows:
    """The rows that count for a thread."""
    return _picked(rows, rows.thread == home_threads(rows, np.array([thread]))[0])


def _during(idle: Intervals, rows: HostRows) -> HostRows:
    return _picked(rows, touching(rows.start_ns, rows.end_ns, idle))


def _picked(rows: HostRows, index: Ints | Bools) -> HostRows:
    if index.dtype == np.bool_ and index.all():
        return rows
    return HostRows(
        start_ns=rows.start_ns[index], end_ns=rows.end_ns[index], thread=rows.thread[index], key=rows.key[index]
    )


def _cut(idle: Intervals, *rows: HostRows) -> tuple[Ints, Ints]:
    """`idle` in stretches in which no row begins or ends."""
    edges = np.concatenate([times for one in rows for times in (one.start_ns, one.end_ns)])
    cuts = np.unique(np.concatenate((idle.start, idle.end, edges[inside(edges, idle)])))
    begin, finish = cuts[:-1], cuts[1:]
    kept = inside(begin, idle)
    return begin[kept], finish[kept]
