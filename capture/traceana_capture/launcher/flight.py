"""What torch's flight recorder kept of gloo's collectives: size, type and group of each call, also of C++'s own."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from traceana_capture.reading import DECODE_ERRORS

# c10d's operator -> its word for the call in a trace. Gloo carries a reduce-scatter of one tensor as an all-reduce, and
# the recorder calls it so; that of a list becomes an all-reduce for each rank's part, and each is told by itself.
WORDS = {
    "c10d::allreduce_": "allreduce",
    "c10d::allreduce_coalesced_": "allreduce_coalesced",
    "c10d::broadcast_": "broadcast",
    "c10d::reduce_": "reduce",
    "c10d::allgather_": "allgather",
    "c10d::_allgather_base_": "_allgather_base",
    "c10d::allgather_coalesced_": "allgather_coalesced",
    "c10d::allgather_into_tensor_coalesced_": "allgather_into_tensor_coalesced",
    "c10d::reduce_scatter_": "allreduce",
    "c10d::_reduce_scatter_base_": "_reduce_scatter_base",
    "c10d::reduce_scatter_tensor_coalesced_": "reduce_scatter_tensor_coalesced",
    "c10d::alltoall_": "all_to_all",
    "c10d::alltoall_base_": "all_to_all",
    "c10d::scatter_": "scatter",
    "c10d::gather_": "gather",
    "c10d::barrier": "barrier",
    "c10d::monitored_barrier_": "barrier",
}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One call as torch writes it; `time_created_ns` since the epoch, `thread_id` as Python's threading has it."""

    time_created_ns: int
    thread_id: str
    profiling_name: str
    process_group: tuple[str, str]
    collective_seq_id: int
    is_p2p: bool
    input_sizes: list[list[int]]
    input_dtypes: list[str]
    output_sizes: list[list[int]]
    output_dtypes: list[str]


class _Dump(msgspec.Struct, frozen=True):
    entries: list[Entry] = msgspec.field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What calls say of their group, and whether the recorder's numbers count all of the group's calls."""

    keys: dict[str, Any]
    numbered: bool


def read(path: Path, since_ns: int, until_ns: int) -> list[Entry]:
    """The collectives that were issued from `since_ns` to `until_ns`, in order; none where torch writes otherwise."""
    try:
        entries = msgspec.json.decode(path.read_bytes(), type=_Dump).entries
    except (OSError, *DECODE_ERRORS):
        return []
    found = [entry for entry in entries if since_ns <= entry.time_created_ns <= until_ns and not entry.is_p2p]
    return sorted(found, key=lambda entry: entry.time_created_ns)


def record(entry: Entry, word: str, group: Group) -> dict[str, Any]:
    """The standard keys of a call, as NCCL's calls of this word have them."""
    sent, received = _elements(word, entry, int(group.keys["Group size"]))
    dtypes = entry.input_dtypes or entry.output_dtypes
    keys = {"Collective name": word, "dtype": dtypes[0] if dtypes else "Byte", **group.keys}
    keys |= {"traceana backend": "torch.distributed", "traceana library": "gloo"}
    return keys | {"In msg nelems": sent, "Out msg nelems": received} | number(entry, group)


def number(entry: Entry, group: Group) -> dict[str, Any]:
    """The call's number in its group, from 0, which is the same on all ranks: it does not count sends."""
    return {"Seq": entry.collective_seq_id - 1} if group.numbered else {}


def _elements(word: str, entry: Entry, size: int) -> tuple[int, int]:
    """Elements that this rank sends and receives; the recorder flattens what is gathered, and some ranks give none."""
    sent, received = _sum(entry.input_sizes), _sum(entry.output_sizes)
    if word == "scatter":
        return received * size, received
    if "gather" in word:
        return sent, sent * size
    if "reduce_scatter" in word:
        return sent, sent // size
    return sent, received


def _sum(sizes: list[list[int]]) -> int:
    return sum(map(math.prod, sizes))
