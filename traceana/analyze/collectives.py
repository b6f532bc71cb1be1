"""The collective calls of one rank: every communication activity with what is known of it, none dropped."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from traceana.analyze.frames import sites
from traceana.analyze.message_size import message_bytes
from traceana.kernels import UNKNOWN, Kind, NameKind, backend_of_library, operation_of_call
from traceana.trace.columns import CallMetadata, HostRows, Ints, RankTrace
from traceana.trace.read import groups_by_name

C10D = "torch.distributed"
DIRECT = "direct call"
BEFORE_ALL = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What calls have in common that can be compared. `group` is a tuple of ranks, or None where it is not known."""

    op: str
    dtype: str | None
    message_bytes: int | None
    group_size: int | None
    group: tuple[int, ...] | None
    group_name: str | None
    backend: str
    library: str

    def agrees_with(self, other: "Signature") -> bool:
        """Whether two ranks' calls can be the same collective: op, dtype and size are equal."""
        return (self.op, self.dtype, self.message_bytes) == (other.op, other.dtype, other.message_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collectives:
    """One rank's calls in order of start.

    `signature` indexes `signatures`, `site` indexes `sites` or is -1 where the call came from nowhere known, `seq` is
    -1 where absent.
    """

    start_ns: Ints
    end_ns: Ints
    exposed_ns: Ints
    seq: Ints
    signature: Ints
    signatures: tuple[Signature, ...]
    site: Ints
    sites: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.start_ns)


def device_collectives(trace: RankTrace, kinds: Sequence[NameKind], rows: Ints, exposed_ns: Ints) -> Collectives:
    """Calls behind the communication activities `rows`; their exposed time is given beside them."""
    activities = trace.activities
    launches = LaunchIndex(trace.launches)
    launched = launches.rows(activities.correlation[rows])
    host_call = _enclosing_call(trace.host_calls, trace.launches, launched)
    call = np.where(activities.call[rows] >= 0, activities.call[rows], host_call)
    groups = groups_by_name(trace.header)
    signatures: dict[Signature, int] = {}
    replayed = _launched_together(activities.correlation[rows])
    codes = [
        signatures.setdefault(
            _signature(trace.calls[c] if c >= 0 else None, kinds[n], groups, c10d_missing=launch >= 0 and not many),
            len(signatures),
        )
        for c, n, launch, many in zip(
            call.tolist(), activities.name[rows].tolist(), launched.tolist(), replayed.tolist(), strict=True
        )
    ]
    found = sites(trace, *_issued(trace.launches, launched))
    return _in_order(
        Collectives(
            start_ns=activities.start_ns[rows],
            end_ns=activities.end_ns[rows],
            exposed_ns=exposed_ns,
            seq=_seqs(trace.calls, call),
            signature=np.array(codes, dtype=np.int64),
            signatures=tuple(signatures),
            site=found.index,
            sites=found.names,
        )
    )


def host_collectives(trace: RankTrace, exposed_ns: Ints) -> Collectives:
    """Calls of a trace without GPU: the host spans that are the communication."""
    rows = trace.host_collectives
    groups = groups_by_name(trace.header)
    signatures: dict[Signature, int] = {}
    calls = [trace.calls[key] for key in rows.key.tolist()]
    kind = NameKind(kind=Kind.COMMUNICATION, library="gloo", op=UNKNOWN)
    codes = [
        signatures.setdefault(_signature(call, kind, groups, c10d_missing=False), len(signatures)) for call in calls
    ]
    found = sites(trace, rows.thread, rows.start_ns)
    return _in_order(
        Collectives(
            start_ns=rows.start_ns,
            end_ns=rows.end_ns,
            exposed_ns=exposed_ns,
            seq=_seqs(trace.calls, rows.key),
            signature=np.array(codes, dtype=np.int64),
            signatures=tuple(signatures),
            site=found.index,
            sites=found.names,
        )
    )


def _in_order(calls: Collectives) -> Collectives:
    order = np.argsort(calls.start_ns, kind="stable")
    return replace(
        calls,
        start_ns=calls.start_ns[order],
        end_ns=calls.end_ns[order],
        exposed_ns=calls.exposed_ns[order],
        seq=calls.seq[order],
        signature=calls.signature[order],
        site=calls.site[order],
    )


def _seqs(calls: Sequence[CallMetadata], index: Ints) -> Ints:
    found = [calls[c].seq if c >= 0 else None for c in index.tolist()]
    return np.array([-1 if seq is None else seq for seq in found], dtype=np.int64)


def _issued(launches: HostRows, launched: Ints) -> tuple[Ints, Ints]:
    """Thread and time at which each call was launched; no thread where its launch is not in the trace."""
    known = launched >= 0
    thread, at_ns = np.full(len(launched), -1, dtype=np.int64), np.full(len(launched), BEFORE_ALL, dtype=np.int64)
    thread[known], at_ns[known] = launches.thread[launched[known]], launches.start_ns[launched[known]]
    return thread, at_ns


def _signature(
    call: CallMetadata | None, kind: NameKind, groups: dict[str, tuple[int, ...]], *, c10d_missing: bool
) -> Signature:
    library = kind.library or UNKNOWN
    if call is None:
        backend = backend_of_library(library) or (DIRECT if c10d_missing else UNKNOWN)
        return Signature(
            op=kind.op or UNKNOWN,
            dtype=None,
            message_bytes=None,
            group_size=None,
            group=None,
            group_name=None,
            backend=backend,
            library=library,
        )
    op = operation_of_call(call.name)
    op = op if op != UNKNOWN else kind.op or UNKNOWN
    group = call.group_ranks or groups.get(call.group_name or "")
    size = call.group_size or (len(group) if group else None)
    return Signature(
        op=op,
        dtype=call.dtype,
        message_bytes=message_bytes(op, call.dtype, call.in_nelems, call.out_nelems, size),
        group_size=size,
        group=group,
        group_name=call.group_name,
        backend=call.backend or C10D,
        library=library,
    )


class LaunchIndex:
    """Finds the launch of an activity by its correlation; 0 is no correlation."""

    def __init__(self, launches: HostRows) -> None:
        self.order = np.argsort(launches.key, kind="stable")
        self.keys = launches.key[self.order]

    def rows(self, correlation: Ints) -> Ints:
        """For each correlation the row of its launch, or -1."""
        if not len(self.keys):
            return np.full(len(correlation), -1, dtype=np.int64)
        index = np.minimum(np.searchsorted(self.keys, correlation), len(self.keys) - 1)
        found = (self.keys[index] == correlation) & (correlation != 0)
        return np.where(found, self.order[index], -1)


def _launched_together(correlation: Ints) -> Ints:
    """True for activities that share their launch with others: a CUDA graph's replay."""
    _, inverse, counts = np.unique(correlation, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse] > 1)


def _enclosing_call(calls: HostRows, launches: HostRows, launched: Ints) -> Ints:
    """For each launch row the collective call on the same thread during which it happened, or -1."""
    result = np.full(len(launched), -1, dtype=np.int64)
    for thread in np.unique(calls.thread):
        on = np.flatnonzero(calls.thread == thread)
        on = on[np.argsort(calls.start_ns[on], kind="stable")]
        mine = np.flatnonzero(launched >= 0)
        mine = mine[launches.thread[launched[mine]] == thread]
        at = launches.start_ns[launched[mine]]
        index = np.searchsorted(calls.start_ns[on], at, side="right") - 1
        inside = (index >= 0) & (at <= calls.end_ns[on[np.maximum(index, 0)]])
        result[mine[inside]] = calls.key[on[index[inside]]]
    return result
