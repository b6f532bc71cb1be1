"""Steps and requests of a run: from when to when each ran, how long it took, and which call belongs to which step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from traceana.analyze.collectives import Collectives
from traceana.analyze.overlap import Occupation
from traceana.analyze.spans import SpanTimes
from traceana.analyze.step_names import executions, request_name, step_name
from traceana.report import StepTime
from traceana.trace.columns import Bools, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Executions:
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
    exposed = np.mean([occupied[rank].exposed_within(*extent) for rank, extent in extents.items()], axis=0)
    compute = np.mean([occupied[rank].compute_within(*extent) for rank, extent in extents.items()], axis=0)
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


def steps_of_calls(ranks: Mapping[int, Collectives], executed: Executions) -> dict[int, Ints]:
    """By rank for each call the step during which it ran, -1 outside all steps, -2 before the first one."""
    return {rank: _step_of_calls(calls, executed, rank) for rank, calls in ranks.items()}


def _step_of_calls(calls: Collectives, executed: Executions, rank: int) -> Ints:
    start = executed.start_ns.get(rank)
    if start is None or not len(start):
        return np.full(len(calls), -1, dtype=np.int64)
    step = np.searchsorted(start, calls.start_ns, side="right") - 1
    inside = calls.start_ns < executed.end_ns[rank][np.maximum(step, 0)]
    return np.where(step < 0, -2, np.where(inside, step, -1))


def warm_up(rank: Ints, signature: Ints, collective: Ints, step: Ints) -> Bools:
    """Calls of the first step or before it, the first of each kind on each rank, and their peers."""
    kind = rank * (int(signature.max(initial=0)) + 1) + signature
    first = np.zeros(len(rank), dtype=np.bool_)
    first[np.unique(kind, return_index=True)[1]] = True
    early = first | (step == 0) | (step == -2)
    matched = collective >= 0
    return np.asarray(early | (matched & np.isin(collective, collective[early & matched])))
