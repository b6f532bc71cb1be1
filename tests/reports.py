"""Report values for the renderer's tests: a small diffusion run, in as many variants as the tests need."""

import functools
import random
from itertools import pairwise

from msgspec.structs import replace

from traceana.comparing.sentence import sentence
from traceana.report import (
    SCHEMA_VERSION,
    Bucket,
    CallSite,
    Clock,
    Comparison,
    ComparisonRow,
    Coverage,
    Distribution,
    ExposedIs,
    Histogram,
    HostPlace,
    IdleBy,
    LateBy,
    LateKernel,
    Lateness,
    LateRank,
    MissingRank,
    NcclLog,
    Noise,
    Operation,
    PairedRow,
    PerfDump,
    RankReport,
    RankWait,
    Report,
    RunReport,
    Setup,
    Span,
    SpanInstance,
    Stage,
    StepComparison,
    StepTime,
    Straggler,
    Timeline,
    TimelineCall,
    TimelineRow,
    TimelineSlice,
    TruncatedFile,
    UncoveredBy,
)

MIB = 1 << 20
CALLS = (
    ("all_to_all", 12 * MIB, 16, 2_400_000),
    ("all_to_all", 4 * MIB, 16, 900_000),
    ("all_reduce", 4 * MIB, 16, 1_100_000),
    ("all_gather", MIB // 2, 20, 140_000),
    ("broadcast", MIB // 16, 4, 60_000),
)
"""Operation, message size, calls per rank and typical duration of the run that these reports describe."""
FACTORS = {"all_reduce": 2.0}


def two_runs(ranks: int = 2) -> Report:
    """Two comparable runs, the second faster at large messages."""
    slow, fast = run("torch", ranks=ranks), run("pynccl", ranks=ranks, backend="pynccl", speed=1.3)
    return report(slow, fast, comparisons=(compare(slow, fast),))


def one_run(ranks: int = 2) -> Report:
    """A single run, so nothing to compare."""
    return report(run("torch", ranks=ranks))


def report(*runs: RunReport, comparisons: tuple[Comparison, ...] = (), passed_over: tuple[str, ...] = ()) -> Report:
    return Report(
        schema_version=SCHEMA_VERSION,
        traceana_version="0.1.0",
        runs=runs,
        comparisons=comparisons,
        passed_over=passed_over,
    )


@functools.cache
def run(
    label: str, *, ranks: int = 2, backend: str = "torch.distributed", speed: float = 1.0, sized: bool = True
) -> RunReport:
    """A run whose calls take 1/speed of their typical duration; without sizes it looks as PyNccl's traces do."""
    source = random.Random(label)
    operations = tuple(_operation(source, call, ranks, backend, speed, sized) for call in CALLS)
    return RunReport(
        label=label,
        side=label,
        repeat=None,
        path=f"traces/{label}",
        backend=backend,
        backends_seen=(backend,),
        world_size=ranks,
        missing_ranks=(),
        gpus=("NVIDIA H200",),
        versions=(("nccl", "2.28.9"), ("torch", "2.11.0")),
        setup=setup(label),
        ranks=tuple(rank_report(rank, speed) for rank in range(ranks)),
        operations=operations if sized else _without_sizes(operations),
        buckets=tuple(_buckets(operations)) if sized else (),
        stragglers=tuple(
            Straggler(rank=rank, times_last=50 if rank == 1 else 22, wait_caused_ns=4_000_000 * (rank + 1))
            for rank in range(ranks)
        ),
        waits=tuple(
            RankWait(rank=rank, op=op, calls=calls, wait_ns=source.randrange(5_000_000))
            for rank in range(ranks)
            for op, calls in (("all_to_all", 32), ("all_reduce", 16), ("all_gather", 20), ("broadcast", 4))
        ),
        spans=_spans(source, ranks, speed),
        call_sites=_sites(operations if sized else _without_sizes(operations)),
        clock=Clock(method="shared", residual_ns=None),
        timeline=_timeline(source, ranks, speed),
        coverage=coverage(72 * ranks, without_size=0 if sized else 72 * ranks),
        steps=_steps(label, speed),
        requests=(),
        perf_dumps=(),
        noise=(),
        hta=None,
    )


def setup(label: str) -> Setup:
    """Runs that differ in the backend asked for and in what NCCL chose."""
    direct = label != "torch"
    facts = (("transports", "P2P/CUMEM (24 channels)"), ("channels", "24 coll, 32 p2p"))
    return Setup(
        argv=("torchrun", "--nproc-per-node", "2", "train.py", "--prompt", "a cat"),
        started="2026-01-02T03:04:05+00:00",
        exit_code=0,
        window=(("delay_s", "0.0"), ("duration_s", "10.0")),
        backend_asked="pynccl" if direct else "torch",
        backend_adapter="sglang_diffusion",
        backend_seen=("pynccl",) if direct else ("torch.distributed",),
        backend_mismatch=None,
        nccl_presets=(),
        nccl_set=(("NCCL_ALGO", "Ring"),),
        nccl_logs=tuple(NcclLog(rank=rank, facts=(*facts, ("NVLS", "available"))[: 2 + direct]) for rank in range(2)),
        environment=(("CUDA_VISIBLE_DEVICES", "0,1"),),
        missing=(),
    )


def rank_report(rank: int, speed: float = 1.0) -> RankReport:
    exposed, overlapped, compute, memory = int(61_000_000 / speed), 12_000_000, 88_000_000 + rank * 900_000, 1_500_000
    return RankReport(
        rank=rank,
        file=f"rank{rank}.json.gz",
        host="node-a",
        gpu="NVIDIA H200",
        source="gpu",
        span_ns=exposed + compute + memory + 9_000_000,
        compute_ns=compute,
        comm_ns=exposed + overlapped,
        overlapped_comm_ns=overlapped,
        exposed_comm_ns=exposed,
        memory_ns=memory,
        exposed_memory_ns=memory,
        idle_ns=9_000_000,
        kernels=1612,
        comm_kernels=72,
        clock_offset_ns=0,
        exposed_is=exposed_is(exposed),
        uncovered_by=uncovered_by(exposed),
        idle_by=IdleBy(host_behind_ns=5_000_000, waiting_ns=3_000_000, outside_ns=1_000_000, unexplained_ns=0),
    )


def exposed_is(exposed_ns: int) -> ExposedIs:
    """A quarter is waiting, the rest transfer."""
    peer_ns = exposed_ns // 4
    return ExposedIs(peer_ns=peer_ns, transfer_ns=exposed_ns - peer_ns, slow_transfer_ns=0, unexplained_ns=0)


def uncovered_by(exposed_ns: int) -> UncoveredBy:
    """A tenth has no cause, for the rest compute lies behind the call."""
    unexplained_ns = exposed_ns // 10
    return UncoveredBy(
        same_stream_ns=exposed_ns - unexplained_ns,
        dependent_ns=0,
        nothing_launched_ns=0,
        behind_call_ns=0,
        unexplained_ns=unexplained_ns,
    )


def coverage(collectives: int, *, without_size: int = 0) -> Coverage:
    return Coverage(
        collectives=collectives,
        matched=collectives,
        without_size=without_size,
        truncated_files=(),
        skipped_events=0,
        failed_files=(),
        notes=(),
    )


def distribution(values: list[int]) -> Distribution:
    ordered = sorted(values)
    at = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.95, 0.99)]
    return Distribution(min=ordered[0], p50=at[0], p95=at[1], p99=at[2], max=ordered[-1], sum=sum(ordered))


def histogram(values: list[int], bins: int = 24) -> Histogram:
    low, high = min(values), max(values) + 1
    edges = [round(low * (high / low) ** (index / bins)) for index in range(bins + 1)]
    counts = [sum(left <= value < right for value in values) for left, right in pairwise(edges)]
    return Histogram(edges_ns=tuple(edges), counts=tuple(counts))


def compare(baseline: RunReport, candidate: RunReport, *, reasons: tuple[str, ...] = ()) -> Comparison:
    """Compare operation by operation, with an interval of a tenth about each speed-up."""
    pairs = zip(baseline.operations, candidate.operations, strict=False)
    found = Comparison(
        baseline=baseline.label,
        candidate=candidate.label,
        baseline_runs=(baseline.label,),
        candidate_runs=(candidate.label,),
        interval_basis="calls",
        worth_per="step",
        sentence="",
        comparable=not reasons,
        reasons=reasons,
        noise=(),
        end_to_end=(_step_comparison(baseline, candidate),),
        rows=tuple(_row(left, right) for left, right in pairs),
        only_baseline=(),
        only_candidate=(),
    )
    return replace(found, sentence=sentence(found))


def hostile(text: str) -> Report:
    """Two runs with `text` wherever a trace or a path brings a name of its own."""
    slow, fast = (_named(side, f"{text}{side.label}", text) for side in two_runs().runs)
    comparison = replace(compare(slow, fast, reasons=(text,)), only_baseline=(text,), only_candidate=(text,))
    return report(slow, fast, comparisons=(comparison,), passed_over=(text,))


def _named(side: RunReport, label: str, text: str) -> RunReport:
    assert side.timeline is not None
    truncated = TruncatedFile(file=text, rank=0, events=3, missing=text)
    return replace(
        side,
        label=label,
        side=label,
        path=text,
        backend=text,
        backends_seen=(text,),
        gpus=(text,),
        versions=((text, text),),
        setup=Setup(
            argv=(text, text),
            started=text,
            exit_code=1,
            window=((text, text),),
            backend_asked=text,
            backend_adapter=text,
            backend_seen=(text,),
            backend_mismatch=text,
            nccl_presets=(text,),
            nccl_set=((text, text),),
            nccl_logs=(NcclLog(rank=0, facts=((text, text),)),),
            environment=((text, text),),
            missing=(MissingRank(rank=0, reason=text),),
        ),
        ranks=tuple(
            replace(
                rank,
                file=text,
                host=text,
                gpu=text,
                host_behind_in=(HostPlace(kind="operator", name=text, ns=5_000_000),),
            )
            for rank in side.ranks
        ),
        late=(_late(text),),
        operations=tuple(
            replace(operation, op=text, dtype=text, backend=text, library=text) for operation in side.operations
        ),
        buckets=tuple(replace(bucket, op=text) for bucket in side.buckets),
        waits=tuple(replace(wait, op=text) for wait in side.waits if wait.op == "all_reduce"),
        spans=tuple(
            replace(span, name=text, instances=tuple(replace(step, name=text) for step in span.instances))
            for span in side.spans
        ),
        call_sites=tuple(replace(site, site=text, op=text) for site in side.call_sites),
        perf_dumps=(_perf_dump(text),),
        paired=(_pair(text),),
        noise=(Noise(kind="drift", rank=0, change=0.1, text=text),),
        timeline=replace(side.timeline, title=text),
        coverage=replace(side.coverage, truncated_files=(truncated,), failed_files=(text,), notes=(text,)),
    )


def _late(text: str) -> LateRank:
    by = LateBy(
        compute_ns=1_000,
        memory_ns=0,
        host_behind_ns=9_000,
        held_ns=0,
        waiting_ns=0,
        window_late_ns=0,
        unexplained_ns=0,
    )
    found = Lateness(
        times_last=1,
        wait_caused_ns=10_000,
        late_ns=10_000,
        by=by,
        rooted_ns=10_000,
        rooted_by=by,
        kernels=(LateKernel(name=text, ns=1_000),),
        host=(HostPlace(kind="operator", name=text, ns=9_000),),
    )
    return LateRank(rank=1, calls=found, steady=found, steps=())


def _pair(text: str) -> PairedRow:
    return PairedRow(
        op=text,
        message_bytes=1 << 20,
        dtype=text,
        group_size=2,
        pairs=1200,
        disagreeing=1,
        torch_p50_ns=2,
        pynccl_p50_ns=1,
        speedup=2.0,
        ci_low=None,
        ci_high=None,
        verdict="cannot tell",
        reason=text,
    )


def _perf_dump(text: str) -> PerfDump:
    return PerfDump(
        file=text,
        request_id=text,
        commit=text,
        tag=text,
        timestamp=text,
        total_ns=1,
        stages=(Stage(name=text, duration_ns=1, count=1),),
        denoise_steps_ns=(),
        memory=(),
        meta=((text, text),),
        slowed=text,
    )


def _operation(
    source: random.Random, call: tuple[str, int, int, int], ranks: int, backend: str, speed: float, sized: bool
) -> Operation:
    op, message_bytes, calls, typical = call
    transfers = [int(typical / speed * source.lognormvariate(0, 0.15)) for _ in range(calls * ranks)]
    waits = [int(typical * source.expovariate(8)) for _ in transfers]
    durations = [transfer + wait for transfer, wait in zip(transfers, waits, strict=True)]
    algbw = message_bytes / distribution(transfers).p50
    exposed = int(sum(durations) * 0.8)
    return Operation(
        op=op,
        dtype="bfloat16",
        message_bytes=message_bytes,
        group_size=ranks,
        backend=backend,
        library="nccl",
        count=len(durations),
        matched=len(durations),
        duration_ns=distribution(durations),
        transfer_ns=distribution(transfers),
        wait_ns=distribution(waits),
        exposed_ns=exposed,
        exposed_is=exposed_is(exposed),
        uncovered_by=uncovered_by(exposed),
        algbw_gbps=algbw,
        busbw_gbps=algbw * FACTORS.get(op, 1.0) * (ranks - 1) / ranks,
        bandwidth_basis="transfer",
        histogram=histogram(durations),
    )


def _without_sizes(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    return tuple(
        replace(
            operation,
            dtype=None,
            message_bytes=None,
            group_size=None,
            algbw_gbps=None,
            busbw_gbps=None,
            bandwidth_basis=None,
        )
        for operation in operations
    )


def _buckets(operations: tuple[Operation, ...]) -> list[Bucket]:
    guide = ((0, MIB), (MIB, 10 * MIB), (10 * MIB, None))
    buckets = []
    for operation in operations:
        assert operation.message_bytes is not None
        power = 1 << (operation.message_bytes.bit_length() - 1)
        edges = next(pair for pair in guide if pair[1] is None or operation.message_bytes < pair[1])
        for scheme, (lower, upper) in (("guide", edges), ("powers", (power, 2 * power))):
            buckets.append(_bucket(operation, scheme, lower, upper))
    return buckets


def _bucket(operation: Operation, scheme: str, lower: int, upper: int | None) -> Bucket:
    times = operation.duration_ns
    return Bucket(
        op=operation.op,
        scheme=scheme,
        lower_bytes=lower,
        upper_bytes=upper,
        count=operation.count,
        sum_ns=times.sum,
        p50_ns=times.p50,
        p95_ns=times.p95,
        p99_ns=times.p99,
        busbw_gbps=operation.busbw_gbps,
    )


def _row(baseline: Operation, candidate: Operation) -> ComparisonRow:
    sized = baseline.message_bytes is not None and candidate.message_bytes is not None
    left, right = (
        side.transfer_ns if sized and side.transfer_ns else side.duration_ns for side in (baseline, candidate)
    )
    speedup = left.p50 / right.p50
    low, high = speedup * 0.93, speedup * 1.08
    large = (baseline.message_bytes or 0) >= 10 * MIB
    return ComparisonRow(
        op=baseline.op,
        message_bytes=baseline.message_bytes if sized else None,
        basis="transfer" if sized else "duration",
        baseline_count=baseline.count,
        candidate_count=candidate.count,
        baseline_warm_up=2,
        candidate_warm_up=2,
        baseline_p50_ns=left.p50,
        candidate_p50_ns=right.p50,
        speedup=speedup,
        ci_low=low,
        ci_high=high,
        p_value=0.001 if low > 1 or high < 1 else 0.4,
        verdict="faster" if low > 1 else "slower" if high < 1 else "no difference",
        reason=None,
        runs_needed=None,
        baseline_exposed_ns=baseline.exposed_ns // 8,
        candidate_exposed_ns=candidate.exposed_ns // 8,
        worth_ns=(baseline.exposed_ns - candidate.exposed_ns) // 8,
        expected_low=1.3 if large else 1.1,
        expected_high=1.5 if large else 1.3,
    )


def _sites(operations: tuple[Operation, ...]) -> tuple[CallSite, ...]:
    """Where the guide says that they come from; the broadcast comes from nowhere known."""
    names = {"all_to_all": "UlyssesAttention", "all_reduce": "RowParallelLinear", "all_gather": "denoise_step"}
    return tuple(
        CallSite(
            site=names.get(operation.op),
            op=operation.op,
            message_bytes=operation.message_bytes,
            count=operation.count,
            p50_ns=operation.duration_ns.p50,
            transfer_p50_ns=operation.transfer_ns.p50 if operation.transfer_ns else None,
            sum_ns=operation.duration_ns.sum,
            exposed_ns=operation.exposed_ns,
        )
        for operation in operations
    )


def _step_comparison(baseline: RunReport, candidate: RunReport) -> StepComparison:
    left, right = (distribution([step.duration_ns for step in run.steps]).p50 for run in (baseline, candidate))
    return StepComparison(
        metric="step",
        name="denoise_step",
        baseline_count=3,
        candidate_count=3,
        baseline_p50_ns=left,
        candidate_p50_ns=right,
        speedup=left / right,
        ci_low=None,
        ci_high=None,
        p_value=None,
        verdict="cannot tell",
        reason="3 steady steps a side are too few",
        runs_needed=3,
    )


def _steps(label: str, speed: float) -> tuple[StepTime, ...]:
    source = random.Random(f"{label} steps")
    return tuple(
        StepTime(
            name=f"denoise_step {index}",
            duration_ns=int(41_000_000 * source.lognormvariate(0, 0.03) / speed**0.3),
            exposed_comm_ns=int(15_000_000 / speed),
            compute_ns=22_000_000,
            warm_up=index == 0,
        )
        for index in range(4)
    )


def _spans(source: random.Random, ranks: int, speed: float) -> tuple[Span, ...]:
    steps = tuple(
        SpanInstance(
            name=f"denoise_step {index}",
            duration_ns=int(41_000_000 * source.lognormvariate(0, 0.03) / speed**0.3),
            comm_ns=int(18_000_000 / speed),
            exposed_comm_ns=int(15_000_000 / speed),
            compute_ns=22_000_000,
        )
        for index in range(4)
    )
    step = Span(
        name="denoise_step",
        count=4 * ranks,
        duration_ns=distribution([instance.duration_ns for instance in steps for _ in range(ranks)]),
        comm_ns=72_000_000 * ranks,
        exposed_comm_ns=60_000_000 * ranks,
        compute_ns=88_000_000 * ranks,
        instances=steps,
    )
    attention = replace(step, name="UlyssesAttention", count=16 * ranks, instances=())
    return (step, attention)


def _timeline(source: random.Random, ranks: int, speed: float) -> Timeline:
    slices = {rank: tuple(_slices(source, speed)) for rank in range(ranks)}
    rows = tuple(TimelineRow(rank=rank, slices=found, calls=_calls(found)) for rank, found in slices.items())
    return Timeline(title="denoise_step 1", duration_ns=max(row.slices[-1].end_ns for row in rows) + 400_000, rows=rows)


def _calls(slices: tuple[TimelineSlice, ...]) -> tuple[TimelineCall, ...]:
    """Of the first few stretches of communication."""
    return tuple(
        TimelineCall(
            start_ns=one.start_ns,
            end_ns=one.end_ns,
            op="all_to_all",
            message_bytes=4 * MIB,
            group_size=2,
            wait_ns=(one.end_ns - one.start_ns) // 4,
            transfer_ns=(one.end_ns - one.start_ns) * 3 // 4,
        )
        for one in [one for one in slices if one.kind == "comm"][:3]
    )


def _slices(source: random.Random, speed: float) -> list[TimelineSlice]:
    slices, now = [], 300_000
    for index in range(120):
        kind = ("compute", "comm", "compute", "overlapped", "memory")[index % 5]
        length = int(source.uniform(50_000, 600_000) / (speed if kind == "comm" else 1))
        slices.append(TimelineSlice(start_ns=now, end_ns=now + length, kind=kind))
        now += length + source.choice((0, 0, 40_000))
    return slices
