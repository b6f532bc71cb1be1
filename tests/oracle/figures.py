"""A run's figures worked out from its raw traces, under the paths that they have in report.json."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

from tests.oracle.arithmetic import ITEM_BYTES, bus_factor, common, length, nearest_rank, spread, union, without
from tests.oracle.calls import Call, calls_of, compute_of
from tests.oracle.matching import Matched, Shift, match
from tests.oracle.raw import RawRank, read

Figures = dict[str, Any]
UNEVEN = ("all_to_all", "all_gather")
GUIDE_EDGES = (0, 1 << 20, 10 << 20, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All that was read of a run."""

    raws: dict[int, RawRank]
    calls: dict[int, list[Call]]
    matched: Matched

    @property
    def all_calls(self) -> list[Call]:
        return [call for calls in self.calls.values() for call in calls]


def read_run(files: Iterable[Path], shift: Shift) -> Run:
    """Read the files of a run and match its calls on the clock that `shift` makes common."""
    raws = {raw.rank: raw for raw in map(read, files)}
    calls = {rank: calls_of(raw) for rank, raw in sorted(raws.items())}
    return Run(raws=raws, calls=calls, matched=match(calls, shift))


def rank_figures(raw: RawRank, calls: list[Call]) -> Figures:
    """RankReport: times by union of intervals."""
    compute = compute_of(raw)
    comm = union((kernel.start, kernel.end) for call in calls for kernel in call.kernels)
    memory = union((one.start, one.end) for one in raw.of("gpu_memcpy", "gpu_memset"))
    busy = union([*compute, *comm, *memory])
    span = busy[-1][1] - busy[0][0] if busy else 0
    return {
        "source": "gpu" if raw.activities else "cpu",
        "span_ns": span,
        "compute_ns": length(compute),
        "comm_ns": length(comm),
        "overlapped_comm_ns": length(common(comm, compute)),
        "exposed_comm_ns": length(without(comm, compute)),
        "memory_ns": length(memory),
        "exposed_memory_ns": length(without(memory, union([*compute, *comm]))),
        "idle_ns": span - length(busy),
        "kernels": len(raw.of("kernel")),
        "comm_kernels": sum(len(call.kernels) for call in calls) if raw.activities else 0,
    }


def peer_ns(raw: RawRank, calls: list[Call]) -> int:
    """ExposedIs: exposed time in which every call that runs still waits for its last rank."""
    kernels = [(kernel.start, kernel.end) for call in calls for kernel in call.kernels]
    transfers = [(call.start + call.wait, call.end) for call in calls]
    return length(without(without(kernels, compute_of(raw)), transfers))


def operation_figures(calls: list[Call]) -> Figures:
    """Operation: one kind of call over all ranks."""
    matched = [call for call in calls if call.collective is not None]
    found: Figures = {
        "count": len(calls),
        "matched": len(matched),
        "duration_ns": spread([call.duration for call in calls]),
        "transfer_ns": spread([call.transfer for call in matched]) if matched else None,
        "wait_ns": spread([call.wait for call in matched]) if matched else None,
        "exposed_ns": sum(call.exposed for call in calls),
    }
    time = (found["transfer_ns"] or found["duration_ns"])["p50"]
    size, ranks = calls[0].bytes, calls[0].group_size
    known = size is not None and time > 0
    found["algbw_gbps"] = size / time if size is not None and known else None
    found["busbw_gbps"] = size / time * bus_factor(calls[0].op, ranks) if size is not None and known and ranks else None
    found["bandwidth_basis"] = ("transfer" if matched else "duration") if known else None
    return found


def bucket_figures(calls: list[Call]) -> Figures:
    """Bucket: calls of one operation between two sizes."""
    durations = [call.duration for call in calls]
    speeds = [
        call.bytes / time * bus_factor(call.op, call.group_size)
        for call in calls
        if call.bytes and call.group_size and (time := call.transfer if call.collective is not None else call.duration)
    ]
    percentiles = {f"p{percent}_ns": nearest_rank(durations, percent) for percent in (50, 95, 99)}
    return {
        "count": len(calls), "sum_ns": sum(durations), **percentiles, "busbw_gbps": median(speeds) if speeds else None
    }  # fmt: skip


def buckets(calls: list[Call]) -> dict[tuple[str, str, int, int | None], Figures]:
    """By operation, scheme, lower and upper edge."""
    placed: dict[tuple[str, str, int, int | None], list[Call]] = defaultdict(list)
    for call in calls:
        if call.bytes is None:
            continue
        power = 1 << (call.bytes.bit_length() - 1)
        placed[call.op, "powers", power, 2 * power].append(call)
        for low, high in pairwise(GUIDE_EDGES):
            if (low or 0) <= call.bytes and (high is None or call.bytes < high):
                placed[call.op, "guide", low or 0, high].append(call)
    return {key: bucket_figures(found) for key, found in placed.items()}


def uneven_figures(sets: list[list[Call]]) -> dict[tuple[str, str | None, tuple[int, ...]], Figures]:
    """UnevenSizes by operation, group name and ranks."""
    chosen: dict[tuple[str, str | None, tuple[int, ...]], list[list[Call]]] = defaultdict(list)
    for calls in sets:
        told = {(call.meta.get("In msg nelems"), call.meta.get("Out msg nelems")) for call in calls}
        if len(told) > 1 and calls[0].op in UNEVEN:
            ranks = tuple(call.rank for call in calls)
            chosen[calls[0].op, calls[0].meta.get("Process Group Name"), ranks].append(calls)
    return {key: _uneven(key[0], rows) for key, rows in chosen.items()}


def _uneven(op: str, rows: list[list[Call]]) -> Figures:
    sent = [[_item(call) * call.meta["In msg nelems"] for call in calls] for calls in rows]
    received = [[_item(call) * call.meta["Out msg nelems"] for call in calls] for calls in rows]
    if op == "all_gather":
        received = [[sum(parts)] * len(parts) for parts in sent]
    largest = [max(*one, *other) for one, other in zip(sent, received, strict=True)]
    times = [max(call.transfer for call in calls) for calls in rows]
    speeds = [size / time for size, time in zip(largest, times, strict=True)]
    found = {"collectives": len(rows), "sent": _bytes_by_rank(sent), "received": _bytes_by_rank(received)}
    return {**found, "busbw_gbps": median(speeds) * bus_factor(op, len(rows[0]))}


def _item(call: Call) -> int:
    return ITEM_BYTES[call.dtype or ""]


def _bytes_by_rank(rows: list[list[int]]) -> Figures:
    totals = [sum(column) for column in zip(*rows, strict=True)]
    return {
        "by_rank": totals, "least": min(totals), "most": max(totals), "imbalance": max(totals) / fmean(totals)
    }  # fmt: skip


def straggler_figures(sets: list[list[Call]], rank: int) -> Figures:
    """Straggler: how often a rank was the last while others waited for it, and how long they did."""
    caused = []
    for calls in sets:
        last = max(calls, key=lambda call: call.common_start)
        waited = sum(call.wait for call in calls)
        if last.rank == rank and waited:
            caused.append(waited)
    return {"times_last": len(caused), "wait_caused_ns": sum(caused)}


def wait_cells(calls: list[Call]) -> dict[tuple[int, str], Figures]:
    """RankWait: matched calls of a rank and an operation."""
    cells: dict[tuple[int, str], list[Call]] = defaultdict(list)
    for call in calls:
        if call.collective is not None:
            cells[call.rank, call.op].append(call)
    return {key: {"calls": len(found), "wait_ns": sum(call.wait for call in found)} for key, found in cells.items()}
