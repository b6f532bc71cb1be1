"""Collectives whose sizes differ by rank: how much each rank sent and received, and to whom."""

from collections.abc import Mapping, Sequence

import numpy as np

from traceana.analyze.collectives import Collectives, Signature
from traceana.analyze.matched import MatchedGroup, Matching
from traceana.analyze.message_size import bus_factor
from traceana.kernels import operation_named
from traceana.report import BytesByRank, UnevenSizes
from traceana.trace.columns import Bools, Ints

_NOT_TOLD = -1


def uneven_sizes(ranks: Mapping[int, Collectives], matching: Matching) -> tuple[UnevenSizes, ...]:
    """One row a process group and operation, of the collectives whose ranks do not all send and receive as much."""
    return tuple(row for group in matching.groups for row in _of_group(ranks, group))


def _of_group(ranks: Mapping[int, Collectives], group: MatchedGroup) -> list[UnevenSizes]:
    first = ranks[group.ranks[0]]
    code = first.signature[group.calls[:, 0]]
    ops = {first.signatures[one].op for one in np.unique(code).tolist()}
    found = []
    for op in sorted(op for op in ops if operation_named(op).uneven):
        mine = np.array([s.op == op for s in first.signatures], dtype=np.bool_)[code]
        calls = group.calls[mine]
        sent = _column(ranks, group.ranks, calls, [_sent(ranks[rank].signatures) for rank in group.ranks])
        received = _column(ranks, group.ranks, calls, [_received(ranks[rank].signatures) for rank in group.ranks])
        unlike = _unlike(op, sent, received)
        if unlike.any():
            calls, transfer_ns = calls[unlike], group.transfer_ns[mine][unlike]
            sent, received = _whole(op, sent[unlike], received[unlike])
            found.append(
                UnevenSizes(
                    op=op,
                    group_name=first.signatures[int(first.signature[calls[0, 0]])].group_name,
                    ranks=group.ranks,
                    collectives=len(calls),
                    sent=_by_rank(sent),
                    received=_by_rank(received),
                    matrix=_matrix(ranks, group.ranks, calls),
                    busbw_gbps=_busbw_gbps(op, np.maximum(sent, received), transfer_ns),
                )
            )
    return found


def _unlike(op: str, sent: Ints, received: Ints) -> Bools:
    """The collectives whose ranks have unlike parts; that a root has the whole is no such difference."""
    parts = {"gather": (sent,), "scatter": (received,)}.get(op, (sent, received))
    return np.asarray(np.logical_or.reduce([(part != part[:, :1]).any(axis=1) for part in parts]))


def _whole(op: str, sent: Ints, received: Ints) -> tuple[Ints, Ints]:
    """Sent and received bytes, where c10d says of a whole on each rank that it is n times the rank's own part."""
    part = {"all_gather": sent, "reduce_scatter": received}.get(op)
    if part is None or (part == _NOT_TOLD).any():
        return sent, received
    whole = np.repeat(part.sum(axis=1, keepdims=True), part.shape[1], axis=1)
    return (sent, whole) if op == "all_gather" else (whole, received)


def _sent(signatures: Sequence[Signature]) -> Ints:
    return np.array([_NOT_TOLD if s.sent_bytes is None else s.sent_bytes for s in signatures], dtype=np.int64)


def _received(signatures: Sequence[Signature]) -> Ints:
    return np.array([_NOT_TOLD if s.received_bytes is None else s.received_bytes for s in signatures], dtype=np.int64)


def _column(ranks: Mapping[int, Collectives], members: Sequence[int], calls: Ints, values: Sequence[Ints]) -> Ints:
    columns = zip(members, calls.T, values, strict=True)
    return np.stack([of_code[ranks[rank].signature[index]] for rank, index, of_code in columns], axis=1)


def _by_rank(told: Ints) -> BytesByRank | None:
    if (told == _NOT_TOLD).any():
        return None
    total = told.sum(axis=0)
    return BytesByRank(
        by_rank=tuple(total.tolist()),
        least=int(total.min()),
        most=int(total.max()),
        imbalance=float(total.max() / total.mean()) if total.any() else None,
    )


def _busbw_gbps(op: str, told: Ints, transfer_ns: Ints) -> float | None:
    if (told == _NOT_TOLD).any() or not (transfer_ns > 0).all():
        return None
    factor = bus_factor(op, told.shape[1])
    return float(np.median(told.max(axis=1) / transfer_ns.max(axis=1))) * factor


def _matrix(
    ranks: Mapping[int, Collectives], members: Sequence[int], calls: Ints
) -> tuple[tuple[int, ...], ...] | None:
    rows = []
    for rank, index in zip(members, calls.T, strict=True):
        codes, many = np.unique(ranks[rank].signature[index], return_counts=True)
        splits = [ranks[rank].signatures[code].sent_by_rank for code in codes.tolist()]
        if any(len(split) != len(members) for split in splits):
            return None
        rows.append(tuple((np.array(splits, dtype=np.int64) * many[:, None]).sum(axis=0).tolist()))
    return tuple(rows)
