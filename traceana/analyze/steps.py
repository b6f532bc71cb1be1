"""Steps and requests of a run: which spans they are, how long each took, and which call belongs to which step."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from traceana.analyze.collectives import Collectives
from traceana.analyze.frames import base_name
from traceana.analyze.spans import SpanTimes
from traceana.report import StepTime
from traceana.trace.columns import Bools, Ints

# "denoise_step", "ProfilerStep", "train step"; not "TimestepEmbedding".
_STEP = re.compile(r"(?<![a-z])(?:step|iteration)(?![a-z])|(?<=[a-z])(?:Step|Iteration)(?![a-z])")
_REQUEST = re.compile(r"(?<![a-z])request(?![a-z])", re.IGNORECASE)
_NOT_A_STEP = ("Optimizer",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Executions:
    """The executions of one span that all ranks have: `rows[rank]` are its rows in that rank's SpanTimes, in order."""

    name: str
    rows: Mapping[int, Ints]

    def __len__(self) -> int:
        return min((len(rows) for rows in self.rows.values()), default=0)


NO_STEPS = Executions(name="", rows={})


def steps(ranks: Mapping[int, SpanTimes]) -> Executions:
    """The run's step: of the spans named so the one executed most often; none where it is executed only once."""
    found = _executions(ranks, _STEP)
    return found if len(found) > 1 else NO_STEPS


def requests(ranks: Mapping[int, SpanTimes]) -> Executions:
    """The run's requests; none where no span is named so."""
    return _executions(ranks, _REQUEST)


def _executions(ranks: Mapping[int, SpanTimes], named: re.Pattern[str]) -> Executions:
    bases = {name: base_name(name) for name in {name for spans in ranks.values() for name in spans.names}}
    fit = {name for name, base in bases.items() if named.search(base) and not base.startswith(_NOT_A_STEP)}
    counts = Counter(bases[name] for name in ranks[min(ranks)].names if name in fit)
    if not counts:
        return NO_STEPS
    most = counts.most_common(1)[0][0]
    rows = {
        rank: _outermost(spans, [row for row, name in enumerate(spans.names) if bases[name] == most])
        for rank, spans in ranks.items()
    }
    return Executions(name=most, rows=_from_common_start(ranks, rows))


def _outermost(spans: SpanTimes, rows: Sequence[int]) -> Ints:
    """Without those of which most lies inside one before: a step that is marked twice, or calls itself, is one."""
    found = np.array(rows, dtype=np.int64)
    start, end = spans.start_ns[found], spans.end_ns[found]
    inside = np.maximum.accumulate(end)[:-1] - start[1:]
    return found[np.concatenate(([True], 2 * inside <= (end - start)[1:]))[: len(found)]]


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


def times(ranks: Mapping[int, SpanTimes], executions: Executions, *, lone_is_warm_up: bool) -> tuple[StepTime, ...]:
    """One value an execution; the first one is warm-up, a lone one only where that is asked for."""
    count = len(executions)
    if not count:
        return ()
    chosen = [(ranks[rank], rows[:count]) for rank, rows in executions.rows.items()]
    duration = np.max([spans.device_end_ns[rows] - spans.device_start_ns[rows] for spans, rows in chosen], axis=0)
    exposed = np.mean([spans.exposed_comm_ns[rows] for spans, rows in chosen], axis=0)
    compute = np.mean([spans.compute_ns[rows] for spans, rows in chosen], axis=0)
    spans, rows = chosen[0]
    return tuple(
        StepTime(
            name=spans.names[rows[index]],
            duration_ns=int(duration[index]),
            exposed_comm_ns=round(float(exposed[index])),
            compute_ns=round(float(compute[index])),
            warm_up=index == 0 and (count > 1 or lone_is_warm_up),
        )
        for index in range(count)
    )


def steps_of_calls(
    ranks: Mapping[int, Collectives], spans: Mapping[int, SpanTimes], steps: Executions
) -> dict[int, Ints]:
    """By rank for each call the step during which it ran, -1 outside all steps, -2 before the first one."""
    return {rank: _step_of_calls(calls, spans[rank], steps.rows.get(rank)) for rank, calls in ranks.items()}


def _step_of_calls(calls: Collectives, spans: SpanTimes, rows: Ints | None) -> Ints:
    if rows is None or not len(rows):
        return np.full(len(calls), -1, dtype=np.int64)
    start = np.maximum.accumulate(spans.device_start_ns[rows])
    step = np.searchsorted(start, calls.start_ns, side="right") - 1
    inside = calls.start_ns < spans.device_end_ns[rows][np.maximum(step, 0)]
    return np.where(step < 0, -2, np.where(inside, step, -1))


def warm_up(rank: Ints, signature: Ints, collective: Ints, step: Ints) -> Bools:
    """Calls of the first step or before it, the first of each kind on each rank, and their peers."""
    kind = rank * (int(signature.max(initial=0)) + 1) + signature
    first = np.zeros(len(rank), dtype=np.bool_)
    first[np.unique(kind, return_index=True)[1]] = True
    early = first | (step == 0) | (step == -2)
    matched = collective >= 0
    return np.asarray(early | (matched & np.isin(collective, collective[early & matched])))
