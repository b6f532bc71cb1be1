"""Writes a played run as one Kineto file per rank, and says what is true about the files."""

from dataclasses import replace
from itertools import groupby
from pathlib import Path

from tests.synthetic.kineto import (
    BASE_TIME_NS,
    LAUNCH_LATENCY_NS,
    MAIN_STREAM,
    SIDE_STREAM,
    Event,
    EventWriter,
    document,
    write_document,
)
from tests.synthetic.play import FIRST_NS, MARGIN_NS, Activity, Collective, play, recorded
from tests.synthetic.spec import Run
from tests.synthetic.truth import CallTruth, RankTruth, Truth, covered_ns, shared_ns

_CATEGORIES = {"memory": "gpu_memcpy", "compute": "kernel", "side compute": "kernel", "comm": "kernel"}
_ISSUE_NS = 3_000
_BETWEEN_LAUNCHES_NS = 4_000


def write_run(folder: Path, run: Run) -> Truth:
    """Write one file per rank into `folder`, made if needed, and return what is true about them."""
    folder.mkdir(parents=True, exist_ok=True)
    seen = {
        rank: recorded(activities, run.late_windows.get(rank, 0), run.lost.get(rank, frozenset()))
        for rank, activities in play(run).items()
        if rank not in run.missing_ranks
    }
    for rank, activities in seen.items():
        write_document(folder / run.file_name(rank), _rank_document(run, rank, activities))
    return _truth(run, seen)


def _rank_document(run: Run, rank: int, activities: list[Activity]) -> Event:
    """One rank's file on that rank's own clock."""
    base_shift = rank % 2 * 1_000_000_000 if run.bases_differ else 0
    shift = run.clock_ns(rank) - base_shift
    writer = EventWriter(rank=rank, device=rank % 8, pid=4000 + rank)
    for step, members in groupby(_drifting(run, rank, activities), key=lambda activity: activity.step):
        in_step = list(members)
        _write_step(writer, run, step, in_step, shift)
        first = in_step[0].start_ns + shift - LAUNCH_LATENCY_NS
        for number, activity in enumerate(in_step):
            if run.gpu is None:
                _write_gloo(writer, activity, shift)
            else:
                at = first + number * _BETWEEN_LAUNCHES_NS if run.launched_ahead else None
                _write_activity(writer, activity, shift, at)
        if run.launched_ahead:
            launched = first + len(in_step) * _BETWEEN_LAUNCHES_NS
            done = max(activity.end_ns for activity in in_step) + shift + MARGIN_NS
            writer.synchronize(launched, done - launched)
    return document(
        writer,
        world_size=run.world_size,
        groups=tuple(group for group in run.process_groups() if rank in group.ranks),
        gpu=run.gpu,
        base_time_ns=BASE_TIME_NS + base_shift,
    )


def _drifting(run: Run, rank: int, activities: list[Activity]) -> list[Activity]:
    """The activities by a clock that runs fast."""
    if not run.host_drifts_ppm:
        return activities

    def told(true_ns: int) -> int:
        return true_ns + run.drift_ns(rank, true_ns - FIRST_NS)

    return [replace(one, start_ns=told(one.start_ns), end_ns=told(one.end_ns)) for one in activities]


def _write_step(writer: EventWriter, run: Run, step: int, activities: list[Activity], shift: int) -> None:
    """The user's span around all launches of a step, on the host and over the device's kernels."""
    first, last = activities[0].start_ns, max(activity.start_ns for activity in activities)
    end = max(activity.end_ns for activity in activities)
    launched = first - LAUNCH_LATENCY_NS - 500 + shift
    name = f"{run.step_name} {step}"
    if run.gpu is None:
        writer.host_span("user_annotation", name, launched, end + 500 + shift - launched)
        return
    external_id = writer.host_span("user_annotation", name, launched, last + shift - launched)
    writer.device_span(name, first + shift, end - first, external_id)


def _write_activity(writer: EventWriter, activity: Activity, shift: int, launched_ns: int | None) -> None:
    start, dur = activity.start_ns + shift, activity.end_ns - activity.start_ns
    args: Event = {}
    external_id = 0
    if activity.collective and activity.collective.call.metadata:
        args = activity.collective.call.args_of_rank(activity.collective.args, writer.rank).as_args()
        issued = (start - LAUNCH_LATENCY_NS if launched_ns is None else launched_ns) - 400
        external_id = _write_comms_op(writer, activity.collective, issued)
        writer.host_span("user_annotation", f"nccl:{activity.collective.call.op}", issued, _ISSUE_NS)
    stream = SIDE_STREAM if activity.kind == "side compute" else MAIN_STREAM
    writer.activity(
        _CATEGORIES[activity.kind],
        activity.name,
        start,
        dur,
        stream=stream,
        external_id=external_id,
        args=args,
        launched_ns=launched_ns,
    )


def _write_gloo(writer: EventWriter, activity: Activity, shift: int) -> None:
    """On a CPU c10d's annotation lasts as long as the collective; the op with the metadata only issues it."""
    assert activity.collective is not None
    start, dur = activity.start_ns + shift, activity.end_ns - activity.start_ns
    _write_comms_op(writer, activity.collective, start)
    writer.host_span("user_annotation", f"gloo:{activity.collective.call.op}", start, dur)


def _write_comms_op(writer: EventWriter, collective: Collective, start: int) -> int:
    """The op that carries the metadata; returns its External id."""
    told = collective.call.args_of_rank(collective.args, writer.rank)
    args = {**told.as_args(), "Rank": writer.rank}
    return writer.host_span("cpu_op", "record_param_comms", start, _ISSUE_NS, args)


def _truth(run: Run, seen: dict[int, list[Activity]]) -> Truth:
    """What the files hold: a collective that nobody recorded is not part of it."""
    reference = run.clock_ns(min(seen))
    recorders: dict[int, list[int]] = {}
    collectives: dict[int, Collective] = {}
    for rank, activities in seen.items():
        for collective in (activity.collective for activity in activities if activity.collective):
            collectives[id(collective)] = collective
            recorders.setdefault(id(collective), []).append(rank)
    return Truth(
        ranks={
            rank: _rank_truth(rank, run.clock_ns(rank) - reference, activities) for rank, activities in seen.items()
        },
        calls=tuple(_call_truth(collectives[key], ranks) for key, ranks in recorders.items()),
    )


def _call_truth(collective: Collective, seen_by: list[int]) -> CallTruth:
    return CallTruth(
        op=collective.call.op,
        dtype=collective.call.dtype,
        message_bytes=collective.call.message_bytes,
        arrivals=collective.arrivals,
        ends=collective.ends,
        seen_by=frozenset(seen_by),
    )


def _rank_truth(rank: int, clock_offset_ns: int, activities: list[Activity]) -> RankTruth:
    compute = [activity.interval for activity in activities if "compute" in activity.kind]
    comm = [activity.interval for activity in activities if activity.kind == "comm"]
    memory = [activity.interval for activity in activities if activity.kind == "memory"]
    everything = compute + comm + memory
    return RankTruth(
        rank=rank,
        clock_offset_ns=clock_offset_ns,
        span_ns=max(end for _, end in everything) - min(start for start, _ in everything),
        compute_ns=covered_ns(compute),
        comm_ns=covered_ns(comm),
        overlapped_comm_ns=shared_ns(comm, compute),
        memory_ns=covered_ns(memory),
        kernels=len(compute) + len(comm),
        comm_kernels=len(comm),
    )
