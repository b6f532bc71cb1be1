"""User spans of all ranks: one row a name, and one row an execution where names carry a number."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from traceana.analyze.numbered import base_name
from traceana.analyze.spans import SpanTimes
from traceana.analyze.statistics import distribution
from traceana.report import Span, SpanInstance
from traceana.trace.columns import Ints

MOST_INSTANCES = 200
MOST_SPANS = 60


def user_spans(ranks: Sequence[SpanTimes]) -> tuple[Span, ...]:
    """The spans with the most communication first; at most 60 names."""
    rows: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for which, spans in enumerate(ranks):
        for index, name in enumerate(spans.names):
            rows[base_name(name)].append((which, index))
    found = [_span(name, places, ranks) for name, places in rows.items()]
    return tuple(sorted(found, key=lambda span: (-span.comm_ns, -span.duration_ns.sum))[:MOST_SPANS])


def _span(name: str, places: Sequence[tuple[int, int]], ranks: Sequence[SpanTimes]) -> Span:
    table = _values(places, ranks)
    executions: dict[str, list[int]] = defaultdict(list)
    for row, (which, index) in enumerate(places):
        executions[ranks[which].names[index]].append(row)
    numbered = len(executions) > 1
    return Span(
        name=name,
        count=len(places),
        duration_ns=distribution(table[:, 0]),
        comm_ns=int(table[:, 1].sum()),
        exposed_comm_ns=int(table[:, 2].sum()),
        compute_ns=int(table[:, 3].sum()),
        instances=tuple(_instance(one, table[at]) for one, at in list(executions.items())[:MOST_INSTANCES])
        if numbered
        else (),
    )


def _instance(name: str, table: Ints) -> SpanInstance:
    duration, comm, exposed, compute = (round(float(mean)) for mean in table.mean(axis=0))
    return SpanInstance(name=name, duration_ns=duration, comm_ns=comm, exposed_comm_ns=exposed, compute_ns=compute)


def _values(places: Sequence[tuple[int, int]], ranks: Sequence[SpanTimes]) -> Ints:
    """Rows of (duration, communication, exposed communication, compute) in ns."""
    return np.array(
        [
            (
                ranks[which].end_ns[i] - ranks[which].start_ns[i],
                ranks[which].comm_ns[i],
                ranks[which].exposed_comm_ns[i],
                ranks[which].compute_ns[i],
            )
            for which, i in places
        ],
        dtype=np.int64,
    )
