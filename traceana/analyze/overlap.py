"""How a rank's time divides into compute, communication, memory and idle, by union of intervals a device."""

from collections.abc import Sequence

import msgspec
import numpy as np

from traceana.analyze.intervals import Intervals, covered, merge, overlap, union
from traceana.kernels import Kind
from traceana.trace.columns import Ints


class TimeSplit(msgspec.Struct, frozen=True, kw_only=True):
    """ns of one device, or the mean of several. See RankReport for the sums that hold."""

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


class Occupation(msgspec.Struct, frozen=True, kw_only=True):
    """The union of intervals of each kind on one device."""

    compute: Intervals
    communication: Intervals
    memory: Intervals

    @property
    def busy(self) -> Intervals:
        """Whatever the device did."""
        return merge(self.compute, self.communication, self.memory)

    def compute_within(self, start: Ints, end: Ints) -> Ints:
        """For each stretch of time the ns of compute."""
        return covered(start, end, self.compute)

    def exposed_within(self, start: Ints, end: Ints) -> Ints:
        """For each stretch of time the ns of communication that no compute covers."""
        return covered(start, end, merge(self.compute, self.communication)) - covered(start, end, self.compute)


def occupation(start: Ints, end: Ints, kind: Ints) -> Occupation:
    """Unions by kind of one device's activities; `kind` holds `Kind` values."""
    compute, communication, memory = (union(start[kind == k], end[kind == k]) for k in Kind)
    return Occupation(compute=compute, communication=communication, memory=memory)


def mean_split(devices: Sequence[Occupation]) -> TimeSplit:
    """Of a device from its first start to its last end; of several from the first to the last of all, on the mean."""
    busy = [one.busy for one in devices if len(one.busy.start)]
    if not busy:
        return TimeSplit()
    span = max(int(one.end[-1]) for one in busy) - min(int(one.start[0]) for one in busy)
    compute = sum(one.compute.length for one in devices) // len(devices)
    comm = sum(one.communication.length for one in devices) // len(devices)
    overlapped = sum(overlap(one.communication, one.compute) for one in devices) // len(devices)
    exposed_memory = sum(_exposed_memory_ns(one) for one in devices) // len(devices)
    return TimeSplit(
        span_ns=span,
        compute_ns=compute,
        comm_ns=comm,
        overlapped_comm_ns=overlapped,
        memory_ns=sum(one.memory.length for one in devices) // len(devices),
        exposed_memory_ns=exposed_memory,
        idle_ns=span - compute - (comm - overlapped) - exposed_memory,
    )


def _exposed_memory_ns(device: Occupation) -> int:
    return device.memory.length - overlap(device.memory, merge(device.compute, device.communication))


def exposed(start: Ints, end: Ints, compute: Intervals) -> Ints:
    """For each interval the ns that `compute` does not cover."""
    return np.asarray(end - start - covered(start, end, compute))
