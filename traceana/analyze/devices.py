"""The devices of one process: what each activity is, and which devices are the rank's own."""

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from traceana import units
from traceana.analyze.intervals import union
from traceana.kernels import Kind, NameKind
from traceana.plain import plain
from traceana.trace.columns import GPU_CATEGORIES, Activities, Bools, Ints, RankTrace

_STRAY = 0.05
"""Share of the busiest device's time below which a device that does not communicate is none of the rank's own."""


def activity_kinds(activities: Activities, kinds: Sequence[NameKind]) -> Ints:
    """`Kind` values, one an activity; `kinds` are those of the trace's names."""
    is_kernel = activities.category == GPU_CATEGORIES.index("kernel")
    named = np.array([kind.kind for kind in kinds], dtype=np.int8)[activities.name]
    # A kernel that carries a collective's metadata is communication, whatever its name.
    named[activities.call >= 0] = Kind.COMMUNICATION
    named[~is_kernel] = Kind.MEMORY
    return np.asarray(named)


def own_devices(trace: RankTrace, kinds: Sequence[NameKind]) -> tuple[RankTrace, tuple[str, ...]]:
    """The trace without the devices that the process only touched, by a stray context, and what is to be said."""
    activities = trace.activities
    communicates = activity_kinds(activities, kinds) == Kind.COMMUNICATION
    devices = np.unique(activities.device).tolist()
    busy = {device: _busy_ns(activities, activities.device == device) for device in devices}
    most = max(busy.values(), default=0)
    talking = set(activities.device[communicates].tolist())
    stray = [one for one in devices if one not in talking and busy[one] < max(_STRAY * most, 1)]
    if len(stray) == len(devices):
        return trace, ()
    notes = [
        f"{plain(trace.path.name)}: {units.plural(int((activities.device == device).sum()), 'event')} "
        f"({units.duration(busy[device])}) on GPU {device}, where the rank hardly works, are left out"
        for device in stray
    ]
    if len(devices) - len(stray) > 1:
        own = ", ".join(str(device) for device in devices if device not in stray)
        notes.append(f"{plain(trace.path.name)}: the process works on GPUs {own}; its times are the mean of theirs")
    return _with_rows(trace, ~np.isin(activities.device, stray)), tuple(notes)


def _busy_ns(activities: Activities, rows: Bools) -> int:
    return union(activities.start_ns[rows], activities.end_ns[rows]).length


def _with_rows(trace: RankTrace, rows: Bools) -> RankTrace:
    if rows.all():
        return trace
    a = trace.activities
    kept = Activities(
        start_ns=a.start_ns[rows],
        end_ns=a.end_ns[rows],
        name=a.name[rows],
        category=a.category[rows],
        device=a.device[rows],
        stream=a.stream[rows],
        correlation=a.correlation[rows],
        call=a.call[rows],
        external=a.external[rows],
        shape=a.shape[rows],
    )
    return replace(trace, activities=kept)
