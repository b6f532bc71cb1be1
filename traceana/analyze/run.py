"""A run's report from its ranks' results."""

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import attrgetter

import msgspec

from traceana.analyze import rank_waits, summarize
from traceana.analyze import steps as run_steps
from traceana.analyze.calls import Calls
from traceana.analyze.causes.doings import RankTimes
from traceana.analyze.causes.join import RankCauses, causes
from traceana.analyze.causes.late import late_ranks
from traceana.analyze.causes.of_steps import LostOfSteps, with_causes
from traceana.analyze.causes.spent import places
from traceana.analyze.clocks import ClockOffsets
from traceana.analyze.collectives import Collectives
from traceana.analyze.control import control
from traceana.analyze.control_time import ControlTime, with_control
from traceana.analyze.coverage import coverage
from traceana.analyze.each_rank import EachRank
from traceana.analyze.gather import gather
from traceana.analyze.layers import axes
from traceana.analyze.match import match
from traceana.analyze.matched import Matching
from traceana.analyze.measure import RankResult
from traceana.analyze.noise import noise
from traceana.analyze.overlap import Occupation
from traceana.analyze.overlap_price import CoveredCompute, price
from traceana.analyze.paid import with_overlap_price, with_slowed_compute
from traceana.analyze.repetition import repeated_steps
from traceana.analyze.span_table import user_spans
from traceana.analyze.spans import SpanTimes
from traceana.analyze.spread import Spread, here
from traceana.analyze.statistics import sums
from traceana.analyze.steps import Executions
from traceana.analyze.timeline import timelines
from traceana.analyze.timeline_calls import with_calls
from traceana.analyze.uneven import uneven_sizes
from traceana.plain import plain
from traceana.report import HtaSection, PerfDump, RankReport, RunReport, StepTime
from traceana.trace.discover import RunFiles
from traceana.trace.header import groups_by_name


class AnalyzedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run's report and the calls behind it, which comparisons and the Parquet file need.

    `steps` and `clocks` are what a replay needs besides; both are None where the report was read from a file.
    """

    report: RunReport
    calls: Calls
    steps: Executions | None = None
    clocks: ClockOffsets | None = None


def analyze_run(
    files: RunFiles,
    ranks: Mapping[int, RankResult],
    failed: Sequence[str],
    perf_dumps: Sequence[PerfDump],
    edges: Sequence[int],
    hta: HtaSection | None = None,
    spread: Spread = here,
) -> AnalyzedRun:
    """Match and sum up. `failed` are files that could not be read, each with its reason; `edges` are bucket edges."""
    hosts = hosts_of(files, ranks)
    world_size = stated_world_size(ranks)
    collectives: Mapping[int, Collectives] = EachRank(ranks, attrgetter("collectives"))
    spans: Mapping[int, SpanTimes] = EachRank(ranks, attrgetter("spans"))
    matching = match(collectives, world_size, hosts, stated_groups(ranks))
    occupied: Mapping[int, Occupation] = EachRank(ranks, attrgetter("occupation"))
    (steps, step_notes), requests = steps_of_run(ranks, matching.clocks), run_steps.requests(spans)
    calls = gather(collectives, matching, steps)
    backends = backends_by_time(calls)
    timed, may_have_paid = ([rank for rank, one in ranks.items() if has(one)] for has in (_is_timed, _may_have_paid))
    times: Mapping[int, RankTimes] = EachRank(ranks, attrgetter("times"), timed)
    covered: Mapping[int, CoveredCompute] = EachRank(ranks, attrgetter("covered"), may_have_paid)
    paid = price(covered.values()) if len(covered) == len(ranks) else None
    lost_of_steps, lost_of_requests = LostOfSteps(steps), LostOfSteps(requests)
    lost = EachRank(ranks, attrgetter("lost"))
    why = causes(calls, collectives, lost, world_size, (lost_of_steps, lost_of_requests), spread)
    drawn = timelines(ranks, matching.clocks, steps if len(steps) else requests)
    strips = tuple(with_calls(strip, calls) for strip in drawn)
    operations = summarize.operations(calls, why)
    has_payload = bool(control(operations))

    def times_of(executed: Executions, *, lone_is_warm_up: bool) -> tuple[StepTime, ...]:
        found = run_steps.times(executed, occupied, lone_is_warm_up=lone_is_warm_up)
        return with_control(found, executed, collectives, occupied) if has_payload else found

    report = RunReport(
        label=files.label,
        side=files.side,
        repeat=files.repeat,
        path=plain(files.folder.as_posix()),
        backend=backends[0] if backends else "none",
        backends_seen=tuple(backends),
        world_size=world_size,
        missing_ranks=tuple(rank for rank in range(world_size) if rank not in ranks),
        gpus=tuple(sorted({device.name for result in ranks.values() for device in result.header.devices})),
        versions=_versions(files, ranks),
        setup=files.manifest.setup,
        ranks=tuple(
            _rank_report(rank, ranks[rank], hosts, matching, why.ranks.get(rank), has_payload=has_payload)
            for rank in sorted(ranks)
        ),
        operations=operations,
        buckets=summarize.buckets(calls, edges),
        stragglers=rank_waits.stragglers(matching, calls, list(ranks)),
        waits=rank_waits.waits(calls),
        spans=user_spans(spans[rank] for rank in sorted(ranks)),
        call_sites=summarize.call_sites(calls),
        clock=matching.clocks.clock,
        host_calls=summarize.host_calls(ranks[rank].host_calls for rank in sorted(ranks)),
        uneven=uneven_sizes(collectives, matching),
        late=late_ranks(matching, calls, collectives, times, steps.names, spread),
        axes=axes(calls),
        timeline=strips[0] if strips else None,
        other_timelines=strips[1:],
        coverage=coverage(
            ranks,
            calls,
            (*files.notes, *matching.notes, *step_notes, *_cut(steps), *_cut(requests)),
            [*files.unreadable, *failed],
        ),
        steps=with_causes(times_of(steps, lone_is_warm_up=True), lost_of_steps),
        requests=with_causes(times_of(requests, lone_is_warm_up=False), lost_of_requests),
        perf_dumps=tuple(perf_dumps),
        noise=noise(occupied, steps),
        hta=hta,
        named_files=tuple(plain(path.as_posix()) for path in files.named),
    )
    return AnalyzedRun(
        report=with_overlap_price(report, paid, covered, steps),
        calls=with_slowed_compute(calls, paid, covered, collectives),
        steps=steps,
        clocks=matching.clocks,
    )


def steps_of_run(ranks: Mapping[int, RankResult], clocks: ClockOffsets) -> tuple[Executions, tuple[str, ...]]:
    """The steps that spans mark, or repetitions where none does, and what is to be said of them."""
    marked = run_steps.steps(EachRank(ranks, attrgetter("spans")))
    return (marked, ()) if len(marked) else repeated_steps(ranks, clocks)


def _cut(executed: Executions) -> list[str]:
    return [
        f"{name} was still open when the recording ended: its time is cut there, and left out of comparisons"
        for name, cut in zip(executed.names, executed.cut_short, strict=True)
        if cut
    ]


def hosts_of(files: RunFiles, ranks: Mapping[int, RankResult]) -> dict[int, str | None]:
    """Each rank's host; a header may name it behind the events, where discovery did not look."""
    return {file.rank: file.host or ranks[file.rank].header.host for file in files.ranks if file.rank in ranks}


def stated_world_size(ranks: Mapping[int, RankResult]) -> int:
    """The largest that a file states, or as many as the ranks show."""
    infos = [result.header.distributed for result in ranks.values()]
    stated = max((info.world_size or 0 for info in infos if info), default=0)
    return max(stated, max(ranks) + 1)


def stated_groups(ranks: Mapping[int, RankResult]) -> tuple[tuple[int, ...], ...]:
    """The ranks of every process group that a header names."""
    return tuple(sorted({group for result in ranks.values() for group in groups_by_name(result.header).values()}))


def backends_by_time(calls: Calls) -> list[str]:
    """Backends by the time spent in their calls, the longest first."""
    time: Counter[str] = Counter()
    of_code = sums(calls.signature, calls.duration_ns, len(calls.signatures))
    for signature, ns in zip(calls.signatures, of_code.tolist(), strict=True):
        time[signature.backend] += ns
    return [backend for backend, _ in time.most_common()]


def _is_timed(result: RankResult) -> bool:
    return result.times is not None


def _may_have_paid(result: RankResult) -> bool:
    return result.covered is not None


def _versions(files: RunFiles, ranks: Mapping[int, RankResult]) -> tuple[tuple[str, str], ...]:
    versions = dict(files.manifest.versions)
    for result in ranks.values():
        if result.header.distributed and result.header.distributed.nccl_version:
            versions.setdefault("nccl", result.header.distributed.nccl_version)
    return tuple(sorted(versions.items()))


def _rank_report(
    rank: int,
    result: RankResult,
    hosts: Mapping[int, str | None],
    matching: Matching,
    why: RankCauses | None,
    *,
    has_payload: bool,
) -> RankReport:
    split, beside = result.split, result.control if has_payload else ControlTime()
    return RankReport(
        rank=rank,
        file=plain(result.path.name),
        host=hosts.get(rank),
        gpu=result.header.devices[0].name if result.header.devices else None,
        source=result.source,
        span_ns=split.span_ns,
        compute_ns=split.compute_ns,
        comm_ns=split.comm_ns,
        overlapped_comm_ns=split.overlapped_comm_ns,
        exposed_comm_ns=split.exposed_comm_ns,
        memory_ns=split.memory_ns,
        exposed_memory_ns=split.exposed_memory_ns,
        idle_ns=split.idle_ns,
        kernels=result.kernels,
        comm_kernels=result.comm_kernels,
        clock_offset_ns=matching.clocks.offset_ns.get(rank, 0),
        exposed_is=why.exposed_is if why else None,
        uncovered_by=why.uncovered_by if why else None,
        idle_by=why.idle_by if why else None,
        host_behind_in=places(result.spent.host) if result.spent else (),
        control_comm_ns=beside.comm_ns,
        control_exposed_comm_ns=beside.exposed_ns,
    )
