"""`python -m traceana.bench.rank PLAN RESULT`: one rank of a bench; rank 0 writes what was measured."""

import math
import os
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
import torch.distributed as dist

from traceana.analyze.message_size import bus_factor
from traceana.bench import beside
from traceana.bench.backends import Backend, Call, load
from traceana.bench.buffers import allocate, elements, fill, is_right
from traceana.bench.plan import Message, Plan
from traceana.bench.results import BenchReport, BenchRow, NotMeasured
from traceana.bench.timing import Timer
from traceana.bench.verdicts import crossovers, verdicts
from traceana.bench.world import World, join
from traceana.errors import TraceanaError

_MOST_BUFFERS = 32
_BUS_OPERATION = {"all_to_allv": "all_to_all", "all_to_all_4d": "all_to_all", "send_recv_pair": "send_recv"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variant:
    backend: str
    graph: bool
    calls: tuple[Call, ...]


def measure(plan: Plan, world: World) -> BenchReport:
    """Measure all of the plan; every rank runs it, and has the same result but for `launch_ns`."""
    backends, missing = load(plan.backends, world)
    skipped = [NotMeasured(backend=name, op=None, reason=reason) for name, reason in missing.items()]
    if not backends:
        raise TraceanaError("no backend can run here: " + "; ".join(f"{n}: {reason}" for n, reason in missing.items()))
    order, rows = random.Random(plan.seed), []
    for number, message in enumerate(plan.messages, start=1):
        _progress(world, number, len(plan.messages), message)
        rows += _measure_message(plan, world, message, backends, order, skipped)
    found = verdicts(rows)
    return BenchReport(
        ranks=world.size,
        machine=beside.machine(world.device),
        backends=tuple((name, backend.detail) for name, backend in backends.items()),
        rows=tuple(rows),
        verdicts=found,
        crossovers=crossovers(found),
        not_measured=tuple(dict.fromkeys(skipped)),
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
        calls = _checked_calls(plan, world, message, backend)
        if isinstance(calls, str):
            skipped.append(NotMeasured(backend=name, op=message.op, reason=calls))
        else:
            graphs = plan.graphs if world.on_gpu else (False,)
            variants += [_Variant(backend=name, graph=graph, calls=calls) for graph in graphs]
    timers = [Timer(world, variant.calls, plan.iterations, graph=variant.graph) for variant in variants]
    for timer in timers:
        timer.warm_up()
    times: list[list[torch.Tensor]] = [[] for _ in timers]
    launches: list[list[int]] = [[] for _ in timers]
    # Blocks of all backends take turns in an order that is random, and the same on all ranks.
    turns = [index for _ in range(plan.blocks) for index in order.sample(range(len(timers)), len(timers))]
    for index in turns:
        block = timers[index].block()
        times[index].append(block.calls_ns)
        launches[index] += [block.launch_ns] if block.launch_ns is not None else []
    size = elements(message, world, _dtype(plan)) * _dtype(plan).itemsize
    rows = []
    for variant, timer, of_variant, launch in zip(variants, timers, times, launches, strict=True):
        row = _row(plan, world, message.op, size, variant, of_variant, launch)
        if plan.under_compute and world.on_gpu:
            row = beside.under_compute(row, timer, world)
        rows.append(row)
    return rows


def _checked_calls(plan: Plan, world: World, message: Message, backend: Backend) -> tuple[Call, ...] | str:
    """The backend's call on each of the buffers that take turns, after one that gave the right result."""
    dtype = _dtype(plan)
    calls = []
    for number in range(1 if plan.warm_cache else _copies(message, world)):
        buffers = allocate(message, world, dtype, in_place=plan.in_place, imbalance=plan.imbalance)
        call = backend.call(buffers)
        if isinstance(call, str):
            return call
        if number == 0:
            fill(buffers, world)
            call.load()
            call.run()
            call.unload()
            world.synchronize()
            if world.anywhere(not is_right(buffers, world)):
                raise TraceanaError(
                    f"{backend.name}: {message.op} of {message.message_bytes} bytes gave a wrong result; its times "
                    "would mean nothing, so the bench ends here"
                )
            buffers.source.zero_()
            buffers.target.zero_()
            call.load()
        calls.append(call)
    return tuple(calls)


def _copies(message: Message, world: World) -> int:
    """Buffers that together are twice the device's cache, so that no message is found in it."""
    if not world.on_gpu:
        return 1
    cache = torch.cuda.get_device_properties(world.device).L2_cache_size
    return max(1, min(_MOST_BUFFERS, math.ceil(2 * cache / message.message_bytes)))


def _row(
    plan: Plan, world: World, op: str, size: int, variant: _Variant, blocks: list[torch.Tensor], launch: list[int]
) -> BenchRow:
    calls = torch.cat(blocks).double()
    p50, p95, p99 = (round(float(calls.quantile(part))) for part in (0.5, 0.95, 0.99))
    algbw = size / max(p50, 1)
    moved = bus_factor(_BUS_OPERATION.get(op, op), world.size)
    return BenchRow(
        op=op,
        message_bytes=size,
        dtype=plan.dtype,
        backend=variant.backend,
        graph=variant.graph,
        in_place=plan.in_place,
        calls=len(calls),
        p50_ns=p50,
        p95_ns=p95,
        p99_ns=p99,
        algbw_gbps=algbw,
        busbw_gbps=algbw * moved,
        launch_ns=sorted(launch)[len(launch) // 2] if launch else None,
        blocks_ns=tuple(round(float(block.double().median())) for block in blocks),
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


def measured(plan: Plan) -> BenchReport | None:
    """Join the other ranks and measure; the report on rank 0, None on the others. Raises TraceanaError."""
    world = join()
    try:
        report = measure(plan, world)
    finally:
        dist.destroy_process_group()
    return report if world.rank == 0 else None


def main(plan: Path, result: Path) -> int:
    """Run this rank, and leave rank 0's report in `result`, or why there is none beside it."""
    try:
        report = measured(msgspec.json.decode(plan.read_bytes(), type=Plan))
    except TraceanaError as error:
        # All ranks fail alike, and the launcher says it once.
        if os.environ["RANK"] == "0":
            result.with_suffix(".error").write_text(str(error), encoding="utf-8")
        return error.exit_code
    if report is not None:
        result.write_bytes(msgspec.json.encode(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
