"""User spans and steps: what was launched inside them, and what it cost."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import fmean

from tests.oracle.arithmetic import Interval, common, length, spread, without
from tests.oracle.calls import Call, compute_of
from tests.oracle.figures import Figures, Run
from tests.oracle.raw import Event, RawRank

C10D_SPANS = ("nccl:", "gloo:", "pynccl:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Something that a launch put on the device: its communication, exposed communication and compute in ns."""

    thread: object
    launched: int
    start: int
    end: int
    comm: int
    exposed: int
    compute: int


def base(name: str) -> str:
    """Without the number: "denoise_step 3", "ProfilerStep#3", "FSDP::pre_forward (0)"."""
    return re.sub(r"[ #(]*\d+\)?$", "", name)


def user_spans(raw: RawRank) -> list[Event]:
    spans = [span for span in raw.of("user_annotation") if not span.name.startswith(C10D_SPANS)]
    return sorted((span for span in spans if "Collective name" not in span.args), key=lambda span: span.start)


def work_of(raw: RawRank, calls: list[Call]) -> list[Work]:
    """All device activities whose launch is known, in order of launch; on a host trace the calls themselves."""
    exposed = {id(kernel): 0 for call in calls for kernel in call.kernels}
    for call in calls:
        exposed[id(call.kernels[0])] = call.exposed
    if not raw.activities:
        kernels = [kernel for call in calls for kernel in call.kernels]
        return [_work(kernel, kernel.thread, kernel.start, exposed) for kernel in kernels]
    launches = raw.launches
    known = [(one, launches[c]) for one in raw.activities if (c := one.args.get("correlation", 0)) in launches]
    return [_work(one, launch.thread, launch.start, exposed) for one, launch in known]


def _work(one: Event, thread: object, launched: int, exposed: dict[int, int]) -> Work:
    communicates = id(one) in exposed
    return Work(
        thread=thread,
        launched=launched,
        start=one.start,
        end=one.end,
        comm=one.duration if communicates else 0,
        exposed=exposed.get(id(one), 0),
        compute=one.duration if one.category == "kernel" and not communicates else 0,
    )


def inside(span: Event, work: list[Work], spans: list[Event]) -> list[Work]:
    """What was launched in a span by its thread, or by threads without spans where its thread has the most."""
    threads = Counter(one.thread for one in spans)
    main = max(threads, key=lambda thread: threads[thread])
    return [
        one
        for one in work
        if span.start <= one.launched < span.end
        and (one.thread == span.thread or (one.thread not in threads and span.thread == main))
    ]


def span_figures(run: Run) -> dict[str, Figures]:
    """Span by base name."""
    durations: dict[str, list[int]] = defaultdict(list)
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for rank, raw in run.raws.items():
        spans, work = user_spans(raw), work_of(raw, run.calls[rank])
        for span in spans:
            held = inside(span, work, spans)
            durations[base(span.name)].append(span.duration)
            sums[base(span.name)].update(
                comm_ns=sum(one.comm for one in held),
                exposed_comm_ns=sum(one.exposed for one in held),
                compute_ns=sum(one.compute for one in held),
            )
    return {
        name: {"count": len(found), "duration_ns": spread(found), **sums[name]} for name, found in durations.items()
    }


def step_figures(run: Run, names: Collection[str]) -> dict[str, list[Figures]]:
    """StepTime by name, one an execution that all ranks have."""
    found: dict[str, list[list[Figures]]] = defaultdict(list)
    for rank, raw in run.raws.items():
        steps = _steps_of_rank(raw, run.calls[rank], names)
        for name in names:
            found[name].append([figures for of_name, figures in steps if of_name == name])
    return {name: [_over_ranks(steps) for steps in zip(*by_rank, strict=False)] for name, by_rank in found.items()}


def _over_ranks(steps: Sequence[Figures]) -> Figures:
    """The longest of the ranks, and the means of what ran meanwhile."""
    longest = max(step["duration_ns"] for step in steps)
    means = {key: round(fmean(step[key] for step in steps)) for key in ("exposed_comm_ns", "compute_ns")}
    return {"duration_ns": longest, **means}


def _steps_of_rank(raw: RawRank, calls: list[Call], names: Collection[str]) -> list[tuple[str, Figures]]:
    """From the first start to the last end of what each step launched, or to where the next step starts."""
    spans, work = user_spans(raw), work_of(raw, calls)
    chosen = [span for span in spans if span.name in names]
    extents = [_extent(raw, span, inside(span, work, spans)) for span in chosen]
    following = [*(start for start, _ in extents), max((end for _, end in extents), default=0)][1:]
    compute = compute_of(raw)
    exposed = without([(kernel.start, kernel.end) for call in calls for kernel in call.kernels], compute)
    return [
        (span.name, _meanwhile((start, min(end, after)), exposed, compute))
        for span, (start, end), after in zip(chosen, extents, following, strict=True)
    ]


def _extent(raw: RawRank, span: Event, held: list[Work]) -> Interval:
    if not raw.activities or not held:
        return span.start, span.end
    return min(one.start for one in held), max(one.end for one in held)


def _meanwhile(extent: Interval, exposed: list[Interval], compute: list[Interval]) -> Figures:
    return {
        "duration_ns": extent[1] - extent[0],
        "exposed_comm_ns": length(common([extent], exposed)),
        "compute_ns": length(common([extent], compute)),
    }
