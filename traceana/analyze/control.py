"""What of a program's calls is control traffic: a scheduler that waits for work tells its workers so on the host.

Such calls wait for as long as there is no work, which would make them what costs most, and all of the window exposed.
"""

from collections.abc import Iterable

import msgspec
import numpy as np

from traceana.analyze.collectives import Collectives, Signature
from traceana.analyze.intervals import overlap, union
from traceana.analyze.overlap import Occupation
from traceana.report import Operation

# Capture's --max-collectives leaves calls of so many bytes on the host out too.
_CONTROL_BYTES = 16
_Key = tuple[str, int | None]


class ControlTime(msgspec.Struct, frozen=True, kw_only=True):
    """ns of a rank in which only control traffic communicated, and what of it no compute covered."""

    comm_ns: int = 0
    exposed_ns: int = 0


def control(operations: Iterable[Operation]) -> set[_Key]:
    """Operations and sizes that are all on the host and this small; none where there is nothing else."""
    small: dict[_Key, bool] = {}
    for one in operations:
        key = one.op, one.message_bytes
        small[key] = small.get(key, True) and _is_small(one)
    return {key for key, is_so in small.items() if is_so} if not all(small.values()) else set()


def control_time(calls: Collectives, occupied: Occupation) -> ControlTime:
    """Of one rank's calls on the host, by what is left of its communication without those that are this small."""
    small = np.array([_is_small(signature) for signature in calls.signatures], dtype=np.bool_)[calls.signature]
    payload = union(calls.start_ns[~small], calls.end_ns[~small])
    comm_ns = occupied.communication.length - payload.length
    overlapped = overlap(occupied.communication, occupied.compute) - overlap(payload, occupied.compute)
    return ControlTime(comm_ns=comm_ns, exposed_ns=comm_ns - overlapped)


def _is_small(one: Operation | Signature) -> bool:
    size = one.message_bytes
    return size is not None and size <= _CONTROL_BYTES and one.library.startswith("gloo")
