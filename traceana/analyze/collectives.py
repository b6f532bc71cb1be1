"""The collective calls of one rank: every communication activity with what is known of it, none dropped."""

from collections.abc import Sequence

import msgspec
import numpy as np
from msgspec.structs import replace

from traceana.analyze.attribution import Issued, Issuers, issue, one_call_each
from traceana.analyze.frames import sites
from traceana.analyze.launches import Launches
from traceana.analyze.message_size import dtype_bytes, message_bytes
from traceana.analyze.modules import issuing_modules
from traceana.axes import axis_of
from traceana.kernels import UNKNOWN, NameKind, operation_of_call
from traceana.trace.columns import Activities, CallMetadata, HostRows, Ints, ModuleName, RankTrace
from traceana.trace.header import Header, descriptions_by_name, groups_by_name

C10D = "torch.distributed"
DIRECT = "direct call"
BEFORE_ALL = np.iinfo(np.int64).min


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What calls have in common that can be compared. `group` is a tuple of ranks, or None where it is not known."""

    op: str
    dtype: str | None
    message_bytes: int | None
    group_size: int | None
    group: tuple[int, ...] | None
    group_name: str | None
    backend: str
    library: str
    members: int = 1
    """Calls that one kernel carries: more than one for a coalesced group."""
    sends_to: tuple[int, ...] | None = None
    """Global ranks that a point-to-point call sends to; empty where they are not told, None where it sends nothing."""
    receives_from: tuple[int, ...] | None = None
    sent_bytes: int | None = None
    """What the rank itself put in and got out; `message_bytes` is what the whole collective counts as."""
    received_bytes: int | None = None
    sent_by_rank: tuple[int, ...] = ()
    """Bytes for each rank of the group, where splits are told."""
    axis: str | None = None
    """Along which the group divides the work, such as TP; None where its description does not tell."""

    def agrees_with(self, other: "Signature") -> bool:
        """Whether two ranks' calls can be the same collective: op, dtype and size are equal."""
        return (self.op, self.dtype, self.message_bytes) == (other.op, other.dtype, other.message_bytes)


class Collectives(msgspec.Struct, frozen=True, kw_only=True):
    """One rank's calls in order of start.

    `signature` indexes `signatures`; `site` indexes `sites` and `module` indexes `modules`, or they are -1 where the
    call came from nowhere known; `seq` is -1 where absent.
    """

    start_ns: Ints
    end_ns: Ints
    exposed_ns: Ints
    seq: Ints
    signature: Ints
    signatures: tuple[Signature, ...]
    site: Ints
    sites: tuple[str, ...]
    of_activity: Ints = msgspec.field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """For each communication activity of the rank the row of its call; empty on a trace without a device."""
    module: Ints
    modules: tuple[ModuleName, ...]

    def __len__(self) -> int:
        return len(self.start_ns)


def device_collectives(
    trace: RankTrace, kinds: Sequence[NameKind], rows: Ints, exposed_ns: Ints, issuers: Issuers
) -> Collectives:
    """Calls behind the communication activities `rows`; their exposed time is given beside them."""
    ops = [kinds[name].op or UNKNOWN for name in trace.activities.name[rows].tolist()]
    issued = issue(trace, issuers.launches, issuers.enclosing, rows, ops)
    signature, signatures = _signatures_of_rows(trace, kinds, rows, issued, issuers.launches)
    thread, at_ns = _issued(trace.launches, issuers.launches.row[rows])
    found, modules = sites(trace, thread, at_ns), issuing_modules(trace, thread, at_ns, _said(issued))
    number = one_call_each(issued, rows, trace)
    first, start, end, exposed = _joined(number, trace.activities, rows, exposed_ns)
    return in_order(
        Collectives(
            start_ns=start,
            end_ns=end,
            exposed_ns=exposed,
            seq=sequence_numbers(issued.calls, issued.call)[first],
            signature=signature[first],
            signatures=signatures,
            site=found.index[first],
            sites=found.names,
            of_activity=np.unique(number, return_inverse=True)[1].astype(np.int64),
            module=modules.index[first],
            modules=modules.names,
        )
    )


def _said(issued: Issued) -> list[list[CallMetadata]]:
    """For each activity what is said of its call: by itself, and by the host's call around its launch."""
    pairs = zip(issued.call.tolist(), issued.own.tolist(), strict=True)
    return [[issued.calls[one] for one in pair if one >= 0] for pair in pairs]


def _signatures_of_rows(
    trace: RankTrace, kinds: Sequence[NameKind], rows: Ints, issued: Issued, launches: Launches
) -> tuple[Ints, tuple[Signature, ...]]:
    groups = Groups(trace.header)
    direct = (launches.row[rows] >= 0) & ~launches.graph[rows] & ~_launched_together(trace.activities.correlation[rows])
    signatures: dict[Signature, int] = {}
    codes = []
    columns = zip(issued.call.tolist(), trace.activities.name[rows].tolist(), direct.tolist(), issued.c10d, strict=True)
    for call, name, is_direct, c10d in columns:
        if call >= 0:
            found = signature_of(issued.calls[call], kinds[name], groups, issued.members[call])
        else:
            found = _bare_signature(kinds[name], C10D if c10d else DIRECT if is_direct else UNKNOWN)
        codes.append(signatures.setdefault(found, len(signatures)))
    return np.array(codes, dtype=np.int64), tuple(signatures)


def _joined(call: Ints, activities: Activities, rows: Ints, exposed_ns: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """A row a call: the first of its activities, from its first start to its last end, with all that is exposed."""
    _, first, inverse = np.unique(call, return_index=True, return_inverse=True)
    start = activities.start_ns[rows][first]
    end = activities.end_ns[rows][first]
    np.minimum.at(start, inverse, activities.start_ns[rows])
    np.maximum.at(end, inverse, activities.end_ns[rows])
    exposed = np.zeros(len(first), dtype=np.int64)
    np.add.at(exposed, inverse, exposed_ns)
    return first, start, end, exposed


def in_order(calls: Collectives) -> Collectives:
    """The same calls in order of start."""
    order = np.argsort(calls.start_ns, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return replace(
        calls,
        start_ns=calls.start_ns[order],
        end_ns=calls.end_ns[order],
        exposed_ns=calls.exposed_ns[order],
        seq=calls.seq[order],
        signature=calls.signature[order],
        site=calls.site[order],
        of_activity=place[calls.of_activity],
        module=calls.module[order],
    )


def sequence_numbers(calls: Sequence[CallMetadata], index: Ints) -> Ints:
    """The calls' own numbers, -1 where they have none."""
    found = [calls[c].seq if c >= 0 else None for c in index.tolist()]
    return np.array([-1 if seq is None else seq for seq in found], dtype=np.int64)


def _issued(launches: HostRows, launched: Ints) -> tuple[Ints, Ints]:
    """Thread and time at which each call was launched; no thread where its launch is not in the trace."""
    known = launched >= 0
    thread, at_ns = np.full(len(launched), -1, dtype=np.int64), np.full(len(launched), BEFORE_ALL, dtype=np.int64)
    thread[known], at_ns[known] = launches.thread[launched[known]], launches.start_ns[launched[known]]
    return thread, at_ns


def _bare_signature(kind: NameKind, otherwise: str) -> Signature:
    """Of a call that nothing describes but its kernel's name."""
    library = kind.library or UNKNOWN
    return Signature(
        op=kind.op or UNKNOWN,
        dtype=None,
        message_bytes=None,
        group_size=None,
        group=None,
        group_name=None,
        backend=kind.backend or otherwise,
        library=library,
    )


class Groups:
    """What the header says of process groups, by their names."""

    def __init__(self, header: Header) -> None:
        self.ranks, self.descriptions = groups_by_name(header), descriptions_by_name(header)

    def axis(self, call: CallMetadata) -> str | None:
        """The axis of the call's group; capture completes the header where torch was given no description."""
        return axis_of(call.group_description) or axis_of(self.descriptions.get(call.group_name or ""))


def signature_of(call: CallMetadata, kind: NameKind, groups: Groups, members: int = 1) -> Signature:
    """What is known of a call by its description and by its kernel's name."""
    op = operation_of_call(call.name)
    op = op if op != UNKNOWN else kind.op or UNKNOWN
    group = call.group_ranks or groups.ranks.get(call.group_name or "")
    size = call.group_size or (len(group) if group else None)
    return Signature(
        op=op,
        dtype=call.dtype,
        message_bytes=message_bytes(op, call.dtype, call.in_nelems, call.out_nelems, size),
        group_size=size,
        group=group,
        group_name=call.group_name,
        backend=call.backend or C10D,
        library=kind.library or UNKNOWN,
        members=members,
        sends_to=call.sends_to if "send" in call.name else None,
        receives_from=call.receives_from if "recv" in call.name else None,
        sent_bytes=_bytes(call.in_nelems, call.dtype),
        received_bytes=_bytes(call.out_nelems, call.dtype),
        sent_by_rank=_split_bytes(call),
        axis=groups.axis(call),
    )


def _bytes(nelems: int | None, dtype: str | None) -> int | None:
    item = dtype_bytes(dtype)
    return None if nelems is None or item is None else nelems * item


def _split_bytes(call: CallMetadata) -> tuple[int, ...]:
    item = dtype_bytes(call.dtype)
    return tuple(item * part for part in call.in_split) if item else ()


def _launched_together(correlation: Ints) -> Ints:
    """True for activities that share their launch with others: a CUDA graph's replay."""
    _, inverse, counts = np.unique(correlation, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse] > 1)
