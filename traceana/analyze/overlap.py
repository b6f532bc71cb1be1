"""How a rank's time divides into compute, communication, memory and idle, by union of intervals a device."""

from dataclasses import dataclass

import numpy as np

from traceana.analyze.intervals import Intervals, covered, merge, overlap, union
from traceana.kernels import Kind
from traceana.trace.columns import Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSplit:
    """ns of one or more devices; values add. See RankReport for the sums that hold."""

    span_ns: int = 0
    compute_ns: int = 0
    comm_ns: int = 0
    overlapped_comm_ns: int = 0
    memory_ns: int = 0
    exposed_memory_ns: int = 0
    idle_ns: int = 0

    @property
    def exposed_comm_ns(self) -> int:
        """Communication that no compute covers."""
        return self.comm_ns - self.overlapped_comm_ns

    def __add__(self, other: "TimeSplit") -> "TimeSplit":
        return TimeSplit(
            span_ns=self.span_ns + other.span_ns,
            compute_ns=self.compute_ns + other.compute_ns,
            comm_ns=self.comm_ns + other.comm_ns,
            overlapped_comm_ns=self.overlapped_comm_ns + other.overlapped_comm_ns,
            memory_ns=self.memory_ns + other.memory_ns,
            exposed_memory_ns=self.exposed_memory_ns + other.exposed_memory_ns,
            idle_ns=self.idle_ns + other.idle_ns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupation:
    """The union of intervals of each kind on one device."""

    compute: Intervals
    communication: Intervals
    memory: Intervals

    def split(self) -> TimeSplit:
        """Lengths of the unions and what is left between the first start and the last end."""
        busy = merge(self.compute, self.communication, self.memory)
        work = merge(self.compute, self.communication)
        if not len(busy.start):
            return TimeSplit()
        span = int(busy.end[-1] - busy.start[0])
        return TimeSplit(
            span_ns=span,
            compute_ns=self.compute.length,
            comm_ns=self.communication.length,
            overlapped_comm_ns=overlap(self.communication, self.compute),
            memory_ns=self.memory.length,
            exposed_memory_ns=self.memory.length - overlap(self.memory, work),
            idle_ns=span - busy.length,
        )


def occupation(start: Ints, end: Ints, kind: Ints) -> Occupation:
    """Unions by kind of one device's activities; `kind` holds `Kind` values."""
    compute, communication, memory = (union(start[kind == k], end[kind == k]) for k in Kind)
    return Occupation(compute=compute, communication=communication, memory=memory)


def exposed(start: Ints, end: Ints, compute: Intervals) -> Ints:
    """For each interval the ns that `compute` does not cover."""
    return np.asarray(end - start - covered(start, end, compute))
