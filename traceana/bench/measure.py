"""Measures a plan: each message on all backends, results checked first, blocks of all in turn."""

import math
import random
import sys
from collections.abc import Mapping, Sequence

import msgspec
import torch
from msgspec.structs import replace

from traceana import units
from traceana.analyze.message_size import bus_factor
from traceana.bench import beside, hardware
from traceana.bench.backends import Backend, Call, load
from traceana.bench.buffers import Buffers, allocate, elements
from traceana.bench.checked import check
from traceana.bench.plan import Message, Plan
from traceana.bench.timing import Block, Timer
from traceana.bench.verdicts import judged
from traceana.bench.world import World
from traceana.errors import TraceanaError
from traceana.report.bench import BenchReport, BenchRow, NotMeasured

_BUS_OPERATION = {
    "all_to_allv": "all_to_all",
    "all_to_all_4d": "all_to_all",
    "all_to_all_4d_copies": "all_to_all",
    "send_recv_pair": "send_recv",
}
_ROUNDS = 5


class _Variant(msgspec.Struct, frozen=True, kw_only=True):
    backend: str
    graph: bool
    in_place: bool
    calls: Sequence[Call]


def measure(plan: Plan, world: World) -> BenchReport:
    """Measure all of the plan; every rank runs it, and has the same result but for `launch_ns` and the machine."""
    backends, missing = load(plan.backends, world)
    skipped = [NotMeasured(backend=name, op=None, reason=reason) for name, reason in missing.items()]
    if not backends:
        raise TraceanaError("no backend can run here: " + "; ".join(f"{n}: {reason}" for n, reason in missing.items()))
    skipped += [NotMeasured(backend=name, op=None, reason=what) for name in backends for what in _left_out(plan, world)]
    order, rows = random.Random(plan.seed), []
    before = hardware.state(world.device)
    for number, message in enumerate(plan.messages, start=1):
        _progress(world, number, len(plan.messages), message)
        rows += _measure_message(plan, world, message, backends, order, skipped)
    found = judged(rows)
    return BenchReport(
        ranks=world.size,
        hosts=world.hosts(),
        machine=(*hardware.machine(world.device), *before, *hardware.state(world.device, after=True)),
        backends=tuple((name, backend.detail) for name, backend in backends.items()),
        rows=tuple(rows),
        verdicts=found.verdicts,
        crossovers=found.crossovers,
        guide=found.guide,
        not_measured=tuple(dict.fromkeys(skipped)),
        peak=hardware.peak(world, plan.peak_gbps),
        shape=plan.shape,
    )


def _measure_message(
    plan: Plan,
    world: World,
    message: Message,
    backends: Mapping[str, Backend],
    order: random.Random,
    skipped: list[NotMeasured],
) -> list[BenchRow]:
    variants = []
    for name, backend in backends.items():
        found, reasons = _variants(plan, world, message, backend)
        variants += found
        skipped += [NotMeasured(backend=name, op=message.op, reason=reason) for reason in reasons]
    timers = [Timer(world, variant.calls, plan.iterations, graph=variant.graph) for variant in variants]
    for timer in timers:
        timer.warm_up()
    blocks: list[list[Block]] = [[] for _ in timers]
    # Blocks of all backends take turns in an order that is random, and the same on all ranks.
    for index in (index for _ in range(plan.blocks) for index in order.sample(range(len(timers)), len(timers))):
        blocks[index].append(timers[index].block())
    size = elements(message, world, _dtype(plan)) * _dtype(plan).itemsize
    rows = []
    for variant, timer, of_variant in zip(variants, timers, blocks, strict=True):
        row = _row(plan, world, message.op, size, variant, of_variant)
        if variant.graph:
            there = sorted(timer.on_default_stream() for _ in range(_ROUNDS))
            row = replace(row, default_stream_p50_ns=there[_ROUNDS // 2])
        if plan.under_compute and world.on_gpu:
            row = beside.under_compute(row, timer, world)
        rows.append(row)
    return rows


def _variants(plan: Plan, world: World, message: Message, backend: Backend) -> tuple[list[_Variant], list[str]]:
    """The backend's calls on each of the buffers that take turns, eager and in a graph, or why there are none."""
    variants: list[_Variant] = []
    reasons: list[str] = []
    calls: list[Call] = []
    for _ in range(1 if plan.warm_cache else _copies(plan, message, world)):
        made = _made(plan, message, world, backend)
        if isinstance(made, str):
            return [], [made]
        buffers, call = made
        if not calls:
            in_place = call.in_place or buffers.in_place
            for graph in plan.graphs if world.on_gpu else (False,):
                reason = check(backend, message, world, buffers, call, graph=graph)
                if reason is None:
                    variants.append(_Variant(backend=backend.name, graph=graph, in_place=in_place, calls=calls))
                else:
                    reasons.append(reason)
        calls.append(call)
    return variants, reasons


def _made(plan: Plan, message: Message, world: World, backend: Backend) -> tuple[Buffers, Call] | str:
    """The backend's call on new buffers, or why there is none on one of the ranks."""
    made: tuple[Buffers, Call] | str
    try:
        buffers = allocate(message, world, _dtype(plan), in_place=plan.in_place, imbalance=plan.imbalance)
        call = backend.call(buffers)
        made = call if isinstance(call, str) else (buffers, call)
    except torch.OutOfMemoryError:
        made = f"there is not enough memory for buffers of {units.size(message.message_bytes)}"
    if world.anywhere(isinstance(made, str)):
        return made if isinstance(made, str) else "another rank cannot make it"
    return made


def _left_out(plan: Plan, world: World) -> list[str]:
    """What was asked for that CPUs cannot have."""
    if world.on_gpu:
        return []
    asked = {"in a CUDA graph": True in plan.graphs, "beside compute": plan.under_compute}
    return [f"{what}: that needs a GPU for each rank" for what, wanted in asked.items() if wanted]


def _copies(plan: Plan, message: Message, world: World) -> int:
    """Buffers that together are twice the device's cache, so that no message is found in it, or one a call."""
    if not world.on_gpu:
        return 1
    cache = torch.cuda.get_device_properties(world.device).L2_cache_size
    return max(1, min(plan.iterations, math.ceil(2 * cache / message.message_bytes)))


def _row(plan: Plan, world: World, op: str, size: int, variant: _Variant, blocks: Sequence[Block]) -> BenchRow:
    rows = torch.tensor([block.call_ns for block in blocks]).double()
    apart = torch.cat([block.calls_ns for block in blocks]).double()
    # In a graph single calls are not known: their replays are.
    single = apart if len(apart) else rows
    p50 = float(rows.median())
    p95, p99 = (round(p50 + float(single.quantile(part) - single.quantile(0.5))) for part in (0.95, 0.99))
    algbw = size / max(p50, 1)
    launches = sorted(block.launch_ns for block in blocks if block.launch_ns is not None)
    return BenchRow(
        op=op,
        message_bytes=size,
        dtype=plan.dtype,
        backend=variant.backend,
        graph=variant.graph,
        in_place=variant.in_place,
        calls=plan.iterations * len(blocks),
        p50_ns=round(p50),
        p95_ns=p95,
        p99_ns=p99,
        algbw_gbps=algbw,
        busbw_gbps=algbw * bus_factor(_BUS_OPERATION.get(op, op), world.size),
        launch_ns=launches[len(launches) // 2] if launches else None,
        blocks_ns=tuple(block.call_ns for block in blocks),
        checked=True,
    )


def _dtype(plan: Plan) -> torch.dtype:
    found = getattr(torch, plan.dtype)
    assert isinstance(found, torch.dtype)
    return found


def _progress(world: World, number: int, all_: int, message: Message) -> None:
    if world.rank == 0:
        sys.stderr.write(f"traceana bench: {number} of {all_}: {message.op} {message.message_bytes} bytes\n")
        sys.stderr.flush()
