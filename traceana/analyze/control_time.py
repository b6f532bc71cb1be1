"""How long a rank communicated control traffic alone."""

import msgspec
import numpy as np

from traceana.analyze.collectives import Collectives
from traceana.analyze.control import is_small
from traceana.analyze.intervals import overlap, union
from traceana.analyze.overlap import Occupation


class ControlTime(msgspec.Struct, frozen=True, kw_only=True):
    """ns of a rank in which only control traffic communicated, and what of it no compute covered."""

    comm_ns: int = 0
    exposed_ns: int = 0


def control_time(calls: Collectives, occupied: Occupation) -> ControlTime:
    """Of one rank's calls on the host, by what is left of its communication without those that are this small."""
    small = np.array([is_small(signature) for signature in calls.signatures], dtype=np.bool_)[calls.signature]
    payload = union(calls.start_ns[~small], calls.end_ns[~small])
    comm_ns = occupied.communication.length - payload.length
    overlapped = overlap(occupied.communication, occupied.compute) - overlap(payload, occupied.compute)
    return ControlTime(comm_ns=comm_ns, exposed_ns=comm_ns - overlapped)
