"""From the table of calls to the report's rows: operations, size buckets, call sites."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from msgspec.structs import replace

from traceana.analyze.calls import Calls, in_pieces
from traceana.analyze.causes.join import Causes
from traceana.analyze.collectives import Collectives, Signature
from traceana.analyze.guide import EDGES
from traceana.analyze.layers import layer_calls
from traceana.analyze.message_size import bus_factor
from traceana.analyze.statistics import distribution, histogram
from traceana.report import (
    Bucket,
    CallSite,
    ExposedIs,
    HostCalls,
    Operation,
    SteadyCalls,
    UncoveredBy,
)
from traceana.trace.columns import Bools, Ints
from traceana.trace.narrow import Column

MOST_SITES = 200

_OperationKey = tuple[str, str | None, int | None, int | None, str, str, int]


def operations(calls: Calls, why: Causes) -> tuple[Operation, ...]:
    """One row a kind of call, the most expensive first."""
    kinds: dict[_OperationKey, list[int]] = defaultdict(list)
    for code, s in enumerate(calls.signatures):
        kinds[s.op, s.dtype, s.message_bytes, s.group_size, s.backend, s.library, s.members].append(code)
    rows = [
        _operation(calls, calls.signatures[codes[0]], calls.of_kinds(codes), why.of_kinds(codes))
        for codes in kinds.values()
    ]
    return tuple(sorted(rows, key=lambda row: -row.duration_ns.sum))


def _operation(
    calls: Calls, signature: Signature, rows: Bools, why: tuple[ExposedIs, UncoveredBy] | tuple[None, None]
) -> Operation:
    exposed_is, uncovered_by = why
    duration, matched = calls.duration_ns[rows], rows & calls.matched
    transfer = distribution(calls.transfer_ns[matched]) if matched.any() else None
    algbw = busbw = basis = None
    time = transfer.p50 if transfer else distribution(duration).p50
    if signature.message_bytes is not None and time:
        algbw = signature.message_bytes / time
        basis = "transfer" if transfer else "duration"
        busbw = algbw * bus_factor(signature.op, signature.group_size) if signature.group_size else None
    return Operation(
        op=signature.op,
        dtype=signature.dtype,
        message_bytes=signature.message_bytes,
        group_size=signature.group_size,
        backend=signature.backend,
        library=signature.library,
        count=int(rows.sum()),
        matched=int((calls.collective[rows] >= 0).sum()),
        duration_ns=distribution(duration),
        transfer_ns=transfer,
        wait_ns=distribution(calls.wait_ns[matched]) if matched.any() else None,
        exposed_ns=int(calls.exposed_ns[rows].sum()),
        algbw_gbps=algbw,
        busbw_gbps=busbw,
        bandwidth_basis=basis,
        histogram=histogram(duration),
        members=signature.members,
        exposed_is=exposed_is,
        uncovered_by=uncovered_by,
        steady=_steady(calls, signature, rows & ~calls.warm_up),
        layers=layer_calls(calls, rows),
        axes=tuple(sorted({axis for axis in _axes(calls, rows) if axis is not None})),
    )


def _axes(calls: Calls, rows: Bools) -> set[str | None]:
    return {calls.signatures[code].axis for code in np.unique(calls.signature[rows]).tolist()}


def _steady(calls: Calls, signature: Signature, rows: Bools) -> SteadyCalls | None:
    if not rows.any():
        return None
    matched = rows & calls.matched
    times = calls.transfer_ns[matched] if matched.any() else calls.duration_ns[rows]
    time, size, ranks = distribution(times).p50, signature.message_bytes, signature.group_size
    known = size is not None and time and ranks
    return _steady_calls(calls, rows, (size or 0) / time * bus_factor(signature.op, ranks or 1) if known else None)


def _steady_calls(calls: Calls, rows: Bools, busbw: float | None) -> SteadyCalls:
    matched = rows & calls.matched
    return SteadyCalls(
        count=int(rows.sum()),
        duration_ns=distribution(calls.duration_ns[rows]),
        transfer_ns=distribution(calls.transfer_ns[matched]) if matched.any() else None,
        wait_ns=distribution(calls.wait_ns[matched]) if matched.any() else None,
        busbw_gbps=busbw,
    )


def buckets(calls: Calls, edges: Sequence[int] = EDGES) -> tuple[Bucket, ...]:
    """Calls of each operation by message size: between `edges`, and in powers of two; only calls of known size."""
    sizes = sorted({s.message_bytes for s in calls.signatures if s.message_bytes is not None and s.message_bytes >= 0})
    if not sizes:
        return ()
    powers = [1 << int(bit) for bit in np.unique(np.floor(np.log2(np.maximum(sizes, 1))))]
    bounds = [("guide", low, high) for low, high in zip([0, *edges], [*edges, None], strict=True)]
    bounds += [("powers", low, 2 * low) for low in powers]
    found = []
    for op in sorted({signature.op for signature in calls.signatures}):
        of_op = [(code, s.message_bytes) for code, s in enumerate(calls.signatures) if s.op == op]
        # Buckets of both schemes often hold the same calls.
        made: dict[tuple[int, ...], Bucket | None] = {}
        for scheme, low, high in bounds:
            codes = tuple(code for code, size in of_op if size is not None and low <= size < (high or 1 << 62))
            if codes not in made:
                rows = calls.of_kinds(codes)
                made[codes] = _bucket(calls, rows, op, scheme, low, high) if rows.any() else None
            if bucket := made[codes]:
                found.append(replace(bucket, scheme=scheme, lower_bytes=low, upper_bytes=high))
    return tuple(found)


def _bucket(calls: Calls, rows: Bools, op: str, scheme: str, low: int, high: int | None) -> Bucket:
    spread, steady = distribution(calls.duration_ns[rows]), rows & ~calls.warm_up
    return Bucket(
        op=op,
        scheme=scheme,
        lower_bytes=low,
        upper_bytes=high,
        count=int(rows.sum()),
        sum_ns=spread.sum,
        p50_ns=spread.p50,
        p95_ns=spread.p95,
        p99_ns=spread.p99,
        busbw_gbps=_middle_busbw(calls, rows, op),
        steady=_steady_calls(calls, steady, _middle_busbw(calls, steady, op)) if steady.any() else None,
    )


def _middle_busbw(calls: Calls, rows: Bools, op: str) -> float | None:
    """The median over calls of several sizes, in GB/s; None where no call's group is known."""
    group_sizes = np.array([s.group_size or 0 for s in calls.signatures])
    factors = np.array([bus_factor(op, size) if size else 0.0 for size in group_sizes.tolist()])
    busbw = np.empty(int(rows.sum()))
    many = 0
    for piece in in_pieces(rows):
        signature, cost = calls.signature[piece], calls.cost_of(piece)
        usable = (group_sizes[signature] > 0) & (cost > 0)
        found = calls.sizes_of(piece[usable]) / cost[usable] * factors[signature[usable]]
        busbw[many : many + len(found)] = found
        many += len(found)
    return float(np.median(busbw[:many], overwrite_input=True)) if many else None


def host_calls(ranks: Iterable[Collectives | None]) -> tuple[HostCalls, ...]:
    """One row a kind of call that ran on the host beside a device, the most expensive first."""
    times: dict[tuple[str, str | None, int | None, int | None], list[Ints]] = defaultdict(list)
    for calls in filter(None, ranks):
        for code, s in enumerate(calls.signatures):
            duration = (calls.end_ns - calls.start_ns)[calls.signature == code]
            times[s.op, s.dtype, s.message_bytes, s.group_size].append(duration)
    rows = [
        HostCalls(
            op=op,
            dtype=dtype,
            message_bytes=message_bytes,
            group_size=group_size,
            count=sum(map(len, found)),
            duration_ns=distribution(np.concatenate(found)),
        )
        for (op, dtype, message_bytes, group_size), found in times.items()
    ]
    return tuple(sorted(rows, key=lambda row: -row.duration_ns.sum))


def call_sites(calls: Calls) -> tuple[CallSite, ...]:
    """One row a site, operation and size, those with the most exposed time first; at most MOST_SITES."""
    kinds: dict[tuple[str, int | None], int] = {}
    kind_of = np.array([kinds.setdefault((s.op, s.message_bytes), len(kinds)) for s in calls.signatures])
    code = Column(len(calls))
    for rows in calls.rows_of_ranks.values():
        # A site of -1 becomes 0, so that site and kind make one number.
        code.put(rows, (calls.site[rows].astype(np.int64) + 1) * len(kinds) + kind_of[calls.signature[rows]])
    found = [_call_site(calls, code.values == one) for one in np.unique(code.values).tolist()]
    return tuple(sorted(found, key=lambda row: (-row.exposed_ns, -row.sum_ns))[:MOST_SITES])


def _call_site(calls: Calls, rows: Bools) -> CallSite:
    first = int(np.argmax(rows))
    signature, site = calls.signatures[calls.signature[first]], int(calls.site[first])
    steady = rows & ~calls.warm_up
    shown = steady if steady.any() else rows
    _, transfers = calls.longest_transfers(shown)
    return CallSite(
        site=calls.sites[site] if site >= 0 else None,
        op=signature.op,
        message_bytes=signature.message_bytes,
        count=int(rows.sum()),
        p50_ns=distribution(calls.duration_ns[shown]).p50,
        transfer_p50_ns=distribution(transfers).p50 if len(transfers) else None,
        sum_ns=int(calls.duration_ns[rows].sum()),
        exposed_ns=int(calls.exposed_ns[rows].sum()),
    )
