"""A run's calls beside a bench: how near they come to what the machine does for that call alone."""

from collections.abc import Iterator, Sequence

from traceana import units
from traceana.analyze.message_size import dtype_bytes
from traceana.report import BenchedCalls, BesideBench, Operation, RunReport, UnbenchedCalls
from traceana.report.bench import DTYPES, SIZED_OPERATIONS, BenchReport, BenchRow

_ROUNDING = 0.01
"""A bench rounds sizes to whole elements a rank."""
_REDUCES = ("all_reduce", "reduce", "reduce_scatter")
IN_PLACE = ("all_reduce", "reduce", "broadcast")
"""What torch.distributed does in place, so that of two times in nccl-tests' output this one is meant."""
_BENCH_BACKENDS = {
    "torch.distributed": ("torch", "nccl-tests"),
    "pynccl": ("pynccl", "nccl-tests", "torch"),
    "symmetric memory": ("symm_mem",),
    "custom all-reduce": ("sglang_custom", "vllm_custom"),
    "CUDA IPC": ("sglang_ipc",),
}
"""By a run's backend, how names of a bench's begin that carry calls the same way, the nearest first."""

_Candidate = tuple[BenchReport, BenchRow]


def beside_bench(run: RunReport, benches: Sequence[BenchReport]) -> BesideBench:
    """Every kind of call of the run that has a size and a number of ranks, those that take longest first."""
    rows = [(bench, row) for bench in benches for row in bench.rows]
    found = [
        _beside(operation, rows)
        for operation in sorted(run.operations, key=lambda one: -one.duration_ns.sum)
        if operation.message_bytes and operation.group_size and operation.group_size > 1
    ]
    return BesideBench(
        benched=tuple(one for one in found if isinstance(one, BenchedCalls)),
        unbenched=tuple(one for one in found if isinstance(one, UnbenchedCalls)),
        notes=tuple(_notes(run, benches)),
    )


def in_words(calls: BenchedCalls) -> str:
    """Such as "all_to_all 12 MiB runs at 61 % of bench; 12 % is waiting for a later rank, 27 % contention"."""
    name = units.sized(calls.op, calls.message_bytes)
    if calls.share >= 1:
        return f"{name} runs as fast as in the bench ({units.ratio(calls.share)})"
    said = f"{name} runs at {_percent(calls.share)} of bench"
    if calls.waiting is None or calls.contention is None:
        return f"{said}; {_percent(1 - calls.share)} is contention or skew"
    if calls.contention < 0:
        return f"{said}; all the rest is waiting for a later rank"
    return f"{said}; {_percent(calls.waiting)} is waiting for a later rank, {_percent(calls.contention)} contention"


def _beside(operation: Operation, rows: Sequence[_Candidate]) -> BenchedCalls | UnbenchedCalls:
    assert operation.message_bytes is not None
    assert operation.group_size is not None
    fitting = [one for one in rows if _fits(operation, *one)]
    alike = [row for bench, row in fitting if _same_way(operation, row)]
    if operation.steady is None or operation.members > 1 or not alike:
        return _unbenched(operation, rows, fitting)
    row = min(alike, key=lambda one: _distance(operation, one))
    fastest = min((one for _, one in fitting if one.graph == row.graph), key=lambda one: one.p50_ns)
    duration, transfer = operation.steady.duration_ns.p50, operation.steady.transfer_ns
    return BenchedCalls(
        op=operation.op,
        message_bytes=operation.message_bytes,
        dtype=operation.dtype,
        group_size=operation.group_size,
        backend=operation.backend,
        count=operation.steady.count,
        duration_ns=duration,
        transfer_ns=transfer.p50 if transfer else None,
        bench_backend=row.backend,
        bench_ns=row.p50_ns,
        share=row.p50_ns / max(duration, 1),
        waiting=None if transfer is None else 1 - transfer.p50 / max(duration, 1),
        contention=None if transfer is None else (transfer.p50 - row.p50_ns) / max(duration, 1),
        fastest_backend=fastest.backend,
        fastest_ns=fastest.p50_ns,
    )


def _fits(operation: Operation, bench: BenchReport, row: BenchRow) -> bool:
    """The same call: the type matters where elements are added up."""
    assert operation.message_bytes is not None
    off = abs(row.message_bytes - operation.message_bytes)
    same = row.op == operation.op and bench.ranks == operation.group_size and off <= _ROUNDING * row.message_bytes
    widths = {dtype_bytes(operation.dtype), dtype_bytes(row.dtype)} - {None}
    return same and _on_gpu(bench) == (operation.library != "gloo") and (row.op not in _REDUCES or len(widths) < 2)


def _on_gpu(bench: BenchReport) -> bool:
    return ("device", "CPU") not in bench.machine


def _same_way(operation: Operation, row: BenchRow) -> bool:
    return row.backend.startswith(_BENCH_BACKENDS.get(operation.backend, ()))


def _distance(operation: Operation, row: BenchRow) -> tuple[int, bool, bool, int]:
    """The nearest backend, eager before graph, in place as torch has it, the fastest."""
    names = _BENCH_BACKENDS[operation.backend]
    nearest = next(index for index, name in enumerate(names) if row.backend.startswith(name))
    return nearest, row.graph, row.in_place != (row.op in IN_PLACE), row.p50_ns


def _unbenched(operation: Operation, rows: Sequence[_Candidate], fitting: Sequence[_Candidate]) -> UnbenchedCalls:
    assert operation.message_bytes is not None
    assert operation.group_size is not None
    reason = _reason(operation, rows, fitting)
    return UnbenchedCalls(
        op=operation.op,
        message_bytes=operation.message_bytes,
        dtype=operation.dtype,
        group_size=operation.group_size,
        backend=operation.backend,
        count=operation.count,
        reason=reason,
        command=_command(operation),
    )


def _reason(operation: Operation, rows: Sequence[_Candidate], fitting: Sequence[_Candidate]) -> str:
    if operation.op not in SIZED_OPERATIONS:
        return f"bench has no {operation.op}"
    if operation.members > 1:
        return f"one kernel carries {operation.members} calls, which a bench measures one by one"
    if operation.steady is None:
        return "all its calls are warm-up"
    if fitting:
        return f"benched with {', '.join(sorted({row.backend for _, row in fitting}))}, which carry calls another way"
    of_op = [(bench, row) for bench, row in rows if row.op == operation.op]
    if of_op and all(bench.ranks != operation.group_size for bench, _ in of_op):
        return f"benched over {units.number_ranges({bench.ranks for bench, _ in of_op})} ranks"
    return "never benched at this size" if of_op else "never benched"


def _command(operation: Operation) -> str | None:
    if operation.op not in SIZED_OPERATIONS or operation.members > 1:
        return None
    size = operation.message_bytes or 0
    text = f"{size >> 20}M" if size % (1 << 20) == 0 else f"{size >> 10}K" if size % 1024 == 0 else str(size)
    word = (operation.dtype or "").lower().removeprefix("c10::")
    dtype = f" --dtype {word}" if word in DTYPES else ""
    return f"traceana bench --ranks {operation.group_size} --op {operation.op} -b {text} -e {text}{dtype}"


def _notes(run: RunReport, benches: Sequence[BenchReport]) -> Iterator[str]:
    """Where a bench names another GPU, or another NCCL, than the run."""
    ran = dict(run.versions).get("nccl")
    for bench in benches:
        facts = dict(bench.machine)
        device, nccl = facts.get("device"), facts.get("NCCL")
        if device and run.gpus and device not in run.gpus:
            yield f"the bench ran on {device}, the run on {', '.join(run.gpus)}"
        if nccl and ran and nccl != ran:
            yield f"the bench ran with NCCL {nccl}, the run with {ran}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}{units.NO_BREAK_SPACE}%"
