"""Which call issued each communication activity, by what the host says around its launch.

A launch inside a call's `record_param_comms` is that call's. ROCm ties a kernel to its call by the External id alone.
Calls between `groupStart` and `groupEnd` (`batch_isend_irecv`, coalesced collectives) end before their one kernel is
launched: it takes all calls of its thread that are still without a kernel.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from traceana.analyze.coalesced import CallsWithoutKernel, moves_data, together
from traceana.analyze.launches import Launches, launches_of, open_at
from traceana.kernels import operation_of_call
from traceana.trace.columns import Bools, CallMetadata, Ints, RankTrace
from traceana.trace.narrow import narrow

NO_CALL = -1


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """Calls behind activities: `call` indexes `calls` or is NO_CALL, `own` likewise the host's call around the launch.

    `c10d` marks what c10d's annotations cover although no call was found; `members` are the calls that a call of
    `calls` is made of.
    """

    call: Ints
    own: Ints
    c10d: Bools
    calls: tuple[CallMetadata, ...]
    members: tuple[int, ...]


class Issuers(msgspec.Struct, frozen=True, kw_only=True):
    """What the host says of all activities: their launches, and the calls around them."""

    launches: Launches
    enclosing: Ints


def issuers(trace: RankTrace) -> Issuers:
    """Find every activity's launch, and the call that was open then."""
    launches = launches_of(trace)
    return Issuers(launches=launches, enclosing=_enclosing_calls(trace, launches))


def _enclosing_calls(trace: RankTrace, launches: Launches) -> Ints:
    """For each activity the host's call that was open on the launching thread, else the one of its External id."""
    open_ = open_at(trace.host_calls, trace.launches, np.where(launches.graph, -1, launches.row))
    named = np.flatnonzero(trace.call_external >= 0)
    named = named[np.argsort(trace.call_external[named], kind="stable")]
    named = named[np.isin(named, trace.host_calls.key)]
    if not len(named):
        return narrow(open_)
    external = trace.activities.external
    ids = trace.call_external[named]
    index = np.minimum(np.searchsorted(ids, external), len(ids) - 1)
    by_id = np.where((ids[index] == external) & ~launches.graph, named[index], NO_CALL)
    return narrow(np.where(open_ >= 0, open_, by_id))


def copies_of_collectives(trace: RankTrace, enclosing: Ints, communicates: Bools) -> Bools:
    """Copies between devices that are a collective's own work: its call launched no communication kernel.

    NCCL's copy-engine collectives are such (ncclCommSetCtaPolicy, cudaMemcpyBatchAsync).
    """
    between = np.array([_is_between_devices(name) for name in trace.names], dtype=np.bool_)
    kernels = np.unique(enclosing[communicates])
    moving = np.array([moves_data(call) for call in trace.calls], dtype=np.bool_)
    if not len(moving):
        return np.zeros(len(enclosing), dtype=np.bool_)
    candidate = (enclosing >= 0) & moving[enclosing] & ~np.isin(enclosing, kernels)
    return np.asarray(candidate & between[trace.activities.name] & ~communicates)


def issue(trace: RankTrace, launches: Launches, enclosing: Ints, rows: Ints, ops: Sequence[str]) -> Issued:
    """The calls behind the communication activities `rows`, whose names tell the operations `ops`."""
    activities = trace.activities
    own = enclosing[rows]
    call = np.where(activities.call[rows] >= 0, activities.call[rows], own).astype(np.int64)
    lone = np.flatnonzero((call < 0) & (launches.row[rows] >= 0) & ~launches.graph[rows])
    calls, members = list(trace.calls), [1] * len(trace.calls)
    groups = CallsWithoutKernel(trace, launches.row[rows], own)
    c10d = _annotated(trace, launches, rows)
    for index in lone[np.argsort(trace.launches.start_ns[launches.row[rows[lone]]], kind="stable")].tolist():
        found = groups.of_kernel(int(launches.row[rows[index]]), ops[index], annotated=bool(c10d[index]))
        if found:
            call[index] = len(calls)
            calls.append(together([trace.calls[one] for one in found]))
            members.append(len(found))
    return Issued(call=call, own=own, c10d=c10d, calls=tuple(calls), members=tuple(members))


def one_call_each(issued: Issued, rows: Ints, trace: RankTrace) -> Ints:
    """For each row the number of its call: activities of one host call, or of one sequence number, are one call."""
    number = np.arange(len(rows), dtype=np.int64)
    owned = np.flatnonzero(issued.own >= 0)
    _, first, inverse = np.unique(issued.own[owned], return_index=True, return_inverse=True)
    number[owned] = owned[first][inverse]
    repeats = _repeats_of_numbers(issued, rows, trace)
    for row, former in repeats:
        number[row] = number[former]
    return number


def _repeats_of_numbers(issued: Issued, rows: Ints, trace: RankTrace) -> list[tuple[int, int]]:
    """Pairs (row, the row before it on its stream) that say the same of themselves, sequence number and all.

    Where calls with others between them bear one number, or all bear the same, numbers are no calls' own.
    """
    activities = trace.activities
    numbered = [_numbered(issued, row) for row in range(len(rows))]
    last: dict[tuple[int, int], int] = {}
    runs: Counter[CallMetadata] = Counter()
    pairs: list[tuple[int, int]] = []
    for row in np.argsort(activities.start_ns[rows], kind="stable").tolist():
        place = (int(activities.device[rows[row]]), int(activities.stream[rows[row]]))
        former, call = last.get(place, -1), numbered[row]
        last[place] = row
        if call is not None and former >= 0 and numbered[former] == call:
            pairs.append((row, former))
        elif call is not None:
            runs[call] += 1
    own_numbers = len(runs) > 1 and max(runs.values()) == 1
    return pairs if own_numbers else []


def _numbered(issued: Issued, row: int) -> CallMetadata | None:
    """What a kernel says of its call, where that has a number and no call of the host tells calls apart."""
    call = issued.calls[issued.call[row]] if issued.call[row] >= 0 and issued.own[row] < 0 else None
    # Sends to different peers may bear one number.
    return call if call and call.seq is not None and operation_of_call(call.name) != "send_recv" else None


def _annotated(trace: RankTrace, launches: Launches, rows: Ints) -> Bools:
    """Whether c10d's own annotation is around the launch on its thread, or around the kernel on its stream."""
    launched = np.where(launches.graph[rows], -1, launches.row[rows])
    host = open_at(trace.c10d_spans, trace.launches, launched) >= 0
    spans, activities = trace.device_c10d_spans, trace.activities
    device = np.zeros(len(rows), dtype=np.bool_)
    for stream in np.unique(spans.thread):
        on = np.flatnonzero(spans.thread == stream)
        mine = np.flatnonzero(activities.stream[rows] == stream)
        order = on[np.argsort(spans.start_ns[on], kind="stable")]
        index = np.searchsorted(spans.start_ns[order], activities.start_ns[rows[mine]], side="right") - 1
        ends = spans.end_ns[order[np.maximum(index, 0)]]
        device[mine] = (index >= 0) & (activities.end_ns[rows[mine]] <= ends)
    return np.asarray(host | device)


def _is_between_devices(name: str) -> bool:
    return name.startswith("Memcpy") and ("PtoP" in name or "DtoD" in name)
