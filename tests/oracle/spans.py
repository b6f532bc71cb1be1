"""User spans and steps: what was launched inside them, and what it cost."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from tests.oracle.arithmetic import spread
from tests.oracle.calls import Call
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
    """Without the number: "denoise_step 3", "ProfilerStep#3"."""
    return re.sub(r"[ #]*\d+$", "", name)


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


def step_figures(run: Run, name: str) -> list[Figures]:
    """StepTime of the spans of this very name on all ranks, one an execution that all ranks have."""
    by_rank = []
    for rank, raw in run.raws.items():
        spans, work = user_spans(raw), work_of(raw, run.calls[rank])
        by_rank.append([_one_step(raw, span, inside(span, work, spans)) for span in spans if span.name == name])
    return [
        {
            "duration_ns": max(step["duration_ns"] for step in steps),
            "exposed_comm_ns": round(sum(step["exposed_comm_ns"] for step in steps) / len(steps)),
            "compute_ns": round(sum(step["compute_ns"] for step in steps) / len(steps)),
        }
        for steps in zip(*by_rank, strict=False)
    ]


def _one_step(raw: RawRank, span: Event, held: list[Work]) -> Figures:
    on_device = bool(raw.activities and held)
    first, last = (
        (min(one.start for one in held), max(one.end for one in held)) if on_device else (span.start, span.end)
    )
    return {
        "duration_ns": last - first,
        "exposed_comm_ns": sum(one.exposed for one in held),
        "compute_ns": sum(one.compute for one in held),
    }
