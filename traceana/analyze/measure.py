"""One function from a path to a rank's numbers. It runs in any process; only its small result travels."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

from traceana.analyze.attribution import copies_of_collectives, issuers
from traceana.analyze.causes.doings import RankTimes
from traceana.analyze.causes.host import Stretches
from traceana.analyze.causes.lost import LostTime, lost_time
from traceana.analyze.causes.spent import Spent, spent
from traceana.analyze.collectives import Collectives, device_collectives
from traceana.analyze.control_time import ControlTime, control_time
from traceana.analyze.devices import activity_kinds, own_devices
from traceana.analyze.host_collectives import host_collectives
from traceana.analyze.launches import Launches
from traceana.analyze.overlap import Occupation, TimeSplit, exposed, mean_split, occupation
from traceana.analyze.overlap_price import CoveredCompute, covered_compute
from traceana.analyze.spans import SpanTimes, device_span_times, host_span_times
from traceana.analyze.work import RankWork, rank_work
from traceana.kernels import (
    COPY_ENGINE,
    UNKNOWN,
    KernelPattern,
    Kind,
    NameKind,
    classify,
    may_communicate,
    operation_of_call,
)
from traceana.trace.columns import GPU_CATEGORIES, Activities, Ints, RankTrace
from traceana.trace.file import Damage
from traceana.trace.header import Header
from traceana.trace.narrow import Column, narrow
from traceana.trace.read import read_rank


class RankResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one rank's file says by itself."""

    path: Path
    header: Header
    damage: Damage
    events: int
    source: str
    split: TimeSplit
    """Of the rank's GPU; where its process works on several, the mean of them."""
    lost: LostTime | None
    """None where there is no GPU, or more than one."""
    spent: Spent | None
    """Likewise."""
    occupation: Occupation
    """Of the device on which the rank communicates most, for the timeline."""
    kernels: int
    comm_kernels: int
    collectives: Collectives
    spans: SpanTimes
    notes: tuple[str, ...] = ()
    """What was left out of the rank's times, and why."""
    host_calls: Collectives | None = None
    """Calls that ran on the host while the numbers are the GPU's."""
    foreign: tuple[str, ...] = ()
    """Categories of devices whose events are not read."""
    issued: int = 0
    """Collectives that the host issued for a device, by record_param_comms."""
    idle_patterns: tuple[KernelPattern, ...] = ()
    """The user's patterns that match no kernel here."""
    doubtful: tuple[tuple[str, int], ...] = ()
    """Kernels and their ns that count as compute although their names have a collective's word in them."""
    work: RankWork | None = None
    """None where there is no GPU."""
    covered: CoveredCompute | None = None
    """None where there is no GPU, or more than one."""
    control: ControlTime = ControlTime()

    @property
    def times(self) -> RankTimes | None:
        """What ranks are compared by; None where nothing is known of lost time."""
        return (
            RankTimes(occupied=self.occupation, lost=self.lost, spent=self.spent) if self.lost and self.spent else None
        )


def measure_rank(path: Path, own_patterns: Sequence[KernelPattern] = ()) -> RankResult:
    """Read and measure one file. Raises TraceanaError where nothing can be read of it."""
    trace = read_rank(path)
    result = _measure_devices(trace, own_patterns) if len(trace.activities.start_ns) else _measure_host(trace)
    return replace(result, issued=_issued(trace), idle_patterns=_idle(own_patterns, trace))


def _issued(trace: RankTrace) -> int:
    collectives = [key for key in trace.host_calls.key.tolist() if operation_of_call(trace.calls[key].name) != UNKNOWN]
    return max(len(collectives) - len(trace.host_collectives.key), 0)


def _idle(patterns: Sequence[KernelPattern], trace: RankTrace) -> tuple[KernelPattern, ...]:
    names = [trace.names[name] for name in np.unique(trace.activities.name).tolist()]
    asked = [pattern for pattern in patterns if pattern.package is None]
    return tuple(pattern for pattern in asked if not any(map(pattern.regex.search, names)))


def _measure_devices(trace: RankTrace, own_patterns: Sequence[KernelPattern]) -> RankResult:
    kinds = [classify(name, "kernel", own_patterns) for name in trace.names]
    if any("AMD" in device.name for device in trace.header.devices):
        kinds = [replace(kind, library="rccl") if kind.library == "nccl" else kind for kind in kinds]
    trace, notes = own_devices(trace, kinds)
    activities = trace.activities
    kind = activity_kinds(activities, kinds)
    is_kernel = activities.category == GPU_CATEGORIES.index("kernel")
    found = issuers(trace)
    copies = copies_of_collectives(trace, found.enclosing, kind == Kind.COMMUNICATION)
    kind[copies] = Kind.COMMUNICATION
    for name in np.unique(activities.name[copies]).tolist():
        kinds[name] = NameKind(kind=Kind.COMMUNICATION, library=COPY_ENGINE, op=UNKNOWN)
    communicates = kind == Kind.COMMUNICATION
    devices = [_device(trace, found.launches, device, kind) for device in np.unique(activities.device).tolist()]
    occupations = [one.occupied for one in devices]
    duration = narrow(activities.end_ns - activities.start_ns)
    exposed_ns = _exposed(activities, kind, devices)
    comm_rows: Ints = np.flatnonzero(communicates)
    collectives = device_collectives(trace, kinds, comm_rows, exposed_ns[comm_rows], found)
    lost, behind = (devices[0].lost, devices[0].behind) if len(devices) == 1 else (None, None)
    call = Column(len(kind), -1, least=4)
    call.put(comm_rows, collectives.of_activity)
    occupied = max(occupations, key=lambda one: one.communication.length)
    return RankResult(
        path=trace.path,
        header=trace.header,
        damage=trace.damage,
        events=trace.events,
        source="gpu",
        split=mean_split(occupations),
        lost=lost,
        spent=spent(trace, np.flatnonzero(kind == Kind.COMPUTE), behind, collectives) if behind else None,
        occupation=occupied,
        kernels=int(is_kernel.sum()),
        comm_kernels=int((communicates & is_kernel).sum()),
        host_calls=host_collectives(trace, np.zeros(len(trace.host_collectives.key), dtype=np.int64)),
        foreign=trace.foreign,
        collectives=collectives,
        spans=device_span_times(
            trace, found.launches, duration * communicates, exposed_ns, duration * (kind == Kind.COMPUTE)
        ),
        notes=notes,
        doubtful=_doubtful(trace, kind, own_patterns),
        covered=covered_compute(activities, np.flatnonzero(kind == Kind.COMPUTE), occupied.communication)
        if len(occupations) == 1
        else None,
        work=rank_work(trace, found.launches, kind, call.values),
    )


def _doubtful(trace: RankTrace, kind: Ints, own_patterns: Sequence[KernelPattern]) -> tuple[tuple[str, int], ...]:
    rows = np.flatnonzero(kind == Kind.COMPUTE)
    names = trace.activities.name[rows]
    found = [name for name in np.unique(names).tolist() if may_communicate(trace.names[name], own_patterns)]
    lasted = trace.activities.end_ns[rows] - trace.activities.start_ns[rows] if found else None
    return tuple((trace.names[name], int(lasted[names == name].sum())) for name in found if lasted is not None)


class _Device(msgspec.Struct, frozen=True, kw_only=True):
    """What one device did, the time that it lost, and where the host was while it was behind."""

    number: int
    occupied: Occupation
    lost: LostTime
    behind: Stretches


def _device(trace: RankTrace, launches: Launches, number: int, kind: Ints) -> _Device:
    activities = trace.activities
    rows = np.flatnonzero(activities.device == number)
    occupied = occupation(activities.start_ns[rows], activities.end_ns[rows], kind[rows])
    lost, behind = lost_time(trace, launches, rows, kind[rows], occupied)
    return _Device(number=number, occupied=occupied, lost=lost, behind=behind)


def _exposed(activities: Activities, kind: Ints, devices: Sequence[_Device]) -> Ints:
    """For each activity the ns of communication that no compute of its device covers, 0 for what is none."""
    found = np.zeros(len(kind), dtype=np.int64)
    for device in devices:
        rows = np.flatnonzero((activities.device == device.number) & (kind == Kind.COMMUNICATION))
        found[rows] = exposed(activities.start_ns[rows], activities.end_ns[rows], device.occupied.compute)
    return narrow(found)


def _measure_host(trace: RankTrace) -> RankResult:
    calls, operators = trace.host_collectives, trace.operators
    computes = np.array([name.startswith("aten::") for name in trace.host_names], dtype=np.bool_)[operators.key]
    start = np.concatenate((operators.start_ns[computes], calls.start_ns))
    end = np.concatenate((operators.end_ns[computes], calls.end_ns))
    kind = np.repeat([int(Kind.COMPUTE), int(Kind.COMMUNICATION)], [int(computes.sum()), len(calls.key)])
    occupied = occupation(start, end, kind)
    exposed_ns = exposed(calls.start_ns, calls.end_ns, occupied.compute)
    collectives = host_collectives(trace, exposed_ns)
    return RankResult(
        path=trace.path,
        header=trace.header,
        damage=trace.damage,
        events=trace.events,
        source="cpu",
        split=mean_split([occupied]),
        lost=None,
        spent=None,
        occupation=occupied,
        kernels=0,
        comm_kernels=0,
        foreign=trace.foreign,
        collectives=collectives,
        spans=host_span_times(trace, exposed_ns, occupied.compute),
        notes=(),
        control=control_time(collectives, occupied),
    )
