"""User spans of all ranks: one row a name, and one row an execution where names carry a number."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from traceana.analyze.numbered import base_name
from traceana.analyze.spans import SpanTimes
from traceana.analyze.statistics import distribution
from traceana.report import Span, SpanInstance
from traceana.trace.columns import Ints

MOST_INSTANCES = 200
MOST_SPANS = 60


def user_spans(ranks: Iterable[SpanTimes]) -> tuple[Span, ...]:
    """The spans with the most communication first; at most 60 names."""
    codes: dict[str, int] = {}
    parts = [(_coded(spans.names, codes), _values(spans)) for spans in ranks]
    code, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    order, ends = np.argsort(code, kind="stable"), np.cumsum(np.bincount(code, minlength=len(codes))).tolist()
    names: dict[str, dict[str, Ints]] = defaultdict(dict)
    for name, bounds in zip(codes, pairwise([0, *ends]), strict=True):
        names[base_name(name)][name] = order[slice(*bounds)]
    found = [_span(name, executions, values) for name, executions in names.items()]
    return tuple(sorted(found, key=lambda span: (-span.comm_ns, -span.duration_ns.sum))[:MOST_SPANS])


def _coded(names: Sequence[str], codes: dict[str, int]) -> Ints:
    return np.array([codes.setdefault(name, len(codes)) for name in names], dtype=np.int32)


def _span(name: str, executions: Mapping[str, Ints], values: Ints) -> Span:
    """`executions` are the rows of `values` by the whole name."""
    table = values[np.concatenate(list(executions.values()))]
    return Span(
        name=name,
        count=len(table),
        duration_ns=distribution(table[:, 0]),
        comm_ns=int(table[:, 1].sum()),
        exposed_comm_ns=int(table[:, 2].sum()),
        compute_ns=int(table[:, 3].sum()),
        instances=tuple(_instance(one, values[rows]) for one, rows in list(executions.items())[:MOST_INSTANCES])
        if len(executions) > 1
        else (),
    )


def _instance(name: str, table: Ints) -> SpanInstance:
    duration, comm, exposed, compute = (round(float(mean)) for mean in table.mean(axis=0))
    return SpanInstance(name=name, duration_ns=duration, comm_ns=comm, exposed_comm_ns=exposed, compute_ns=compute)


def _values(spans: SpanTimes) -> Ints:
    """Rows of (duration, communication, exposed communication, compute) in ns."""
    return np.stack([spans.end_ns - spans.start_ns, spans.comm_ns, spans.exposed_comm_ns, spans.compute_ns], axis=1)
