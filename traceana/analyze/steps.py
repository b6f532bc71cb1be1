"""Steps and requests of a run: from when to when each ran, how long it took, and which call belongs to which step."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from traceana.analyze.collectives import Collectives
from traceana.analyze.overlap import Occupation
from traceana.analyze.spans import SpanTimes
from traceana.analyze.step_names import executions, request_name, step_name
from traceana.report import StepTime
from traceana.trace.columns import Bools, Ints


class Executions(msgspec.Struct, frozen=True, kw_only=True):
    """From when to when each execution ran on each rank, by the rank's own clock in ns, in order.

    `names` and `cut_short` (still open when the recording ended) hold one entry an execution that all ranks have; a
    rank may have more.
    """

    names: tuple[str, ...]
    start_ns: Mapping[int, Ints]
    end_ns: Mapping[int, Ints]
    cut_short: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.names)


NO_STEPS = Executions(names=(), start_ns={}, end_ns={}, cut_short=())


def steps(ranks: Mapping[int, SpanTimes]) -> Executions:
    """The run's steps by the span that is named so, none where it is executed only once.

    A step that is still running when the next one starts ends there, so that steps add up to at most the window.
    """
    found = _marked(ranks, step_name)
    if len(found) < 2:
        return NO_STEPS
    start = {rank: np.maximum.accumulate(begin) for rank, begin in found.start_ns.items()}
    end = {rank: _until_next(begin, found.end_ns[rank]) for rank, begin in start.items()}
    return Executions(names=found.names, start_ns=start, end_ns=end, cut_short=found.cut_short)


def requests(ranks: Mapping[int, SpanTimes]) -> Executions:
    """The run's requests, which may run at the same time; none where no span is named so."""
    return _marked(ranks, request_name)


def _until_next(start: Ints, end: Ints) -> Ints:
    following = np.append(start[1:], np.iinfo(np.int64).max)
    return np.asarray(np.maximum(np.minimum(end, following), start))


def _marked(ranks: Mapping[int, SpanTimes], name: Callable[[SpanTimes], str | None]) -> Executions:
    chosen = name(ranks[min(ranks)])
    if chosen is None:
        return NO_STEPS
    rows = _from_common_start(ranks, {rank: executions(spans, chosen) for rank, spans in ranks.items()})
    count = min(map(len, rows.values()))
    first = min(ranks)
    cut = [spans.cut_short[rows[rank][:count]] for rank, spans in ranks.items()]
    return Executions(
        names=tuple(ranks[first].names[row] for row in rows[first][:count].tolist()),
        start_ns={rank: spans.device_start_ns[rows[rank]] for rank, spans in ranks.items()},
        end_ns={rank: spans.device_end_ns[rows[rank]] for rank, spans in ranks.items()},
        cut_short=tuple(np.any(cut, axis=0).tolist()),
    )


def _from_common_start(ranks: Mapping[int, SpanTimes], rows: Mapping[int, Ints]) -> dict[int, Ints]:
    """Windows that opened a few steps apart: all begin at the first step of the rank that has fewest."""
    fewest = min(rows, key=lambda rank: len(rows[rank]))
    if not len(rows[fewest]):
        return dict(rows)
    first = ranks[fewest].names[rows[fewest][0]]
    starts = {
        rank: next((i for i, row in enumerate(mine) if ranks[rank].names[row] == first), 0)
        for rank, mine in rows.items()
    }
    return {rank: mine[starts[rank] :] for rank, mine in rows.items()}


def times(executed: Executions, occupied: Mapping[int, Occupation], *, lone_is_warm_up: bool) -> tuple[StepTime, ...]:
    """One value an execution; the first one is warm-up, a lone one only where that is asked for."""
    count = len(executed)
    if not count:
        return ()
    extents = {rank: (start[:count], executed.end_ns[rank][:count]) for rank, start in executed.start_ns.items()}
    duration = np.max([end - start for start, end in extents.values()], axis=0)
    within = [
        (one.exposed_within(*extent), one.compute_within(*extent))
        for rank, extent in extents.items()
        for one in (occupied[rank],)
    ]
    exposed, compute = np.mean(within, axis=0)
    return tuple(
        StepTime(
            name=executed.names[index],
            duration_ns=int(duration[index]),
            exposed_comm_ns=round(float(exposed[index])),
            compute_ns=round(float(compute[index])),
            warm_up=index == 0 and (count > 1 or lone_is_warm_up),
            cut_short=executed.cut_short[index],
        )
        for index in range(count)
    )


def step_of_calls(calls: Collectives, executed: Executions, rank: int) -> Ints:
    """For each call of a rank the step during which it ran, -1 outside all steps, -2 before the first one."""
    start = executed.start_ns.get(rank)
    if start is None or not len(start):
        return np.full(len(calls), -1, dtype=np.int64)
    step = np.searchsorted(start, calls.start_ns, side="right") - 1
    inside = calls.start_ns < executed.end_ns[rank][np.maximum(step, 0)]
    return np.where(step < 0, -2, np.where(inside, step, -1))


def warm_up(ranks: Sequence[slice], kind: Ints, collective: Ints, step: Ints) -> Bools:
    """Calls of the first step or before it, the first of each kind on each of the ranks' rows, and their peers."""
    early = (step == 0) | (step == -2)
    for rows in ranks:
        early[rows.start + np.unique(kind[rows], return_index=True)[1]] = True
    # Its last entry is what -1 points at.
    has_early = np.zeros(int(collective.max(initial=-1)) + 2, dtype=np.bool_)
    has_early[collective[early]] = True
    has_early[-1] = False
    return np.asarray(early | has_early[collective])
