"""Two ranks that call vLLM's own communicators, each call with a size of its own, one by one and in a CUDA graph.

Usage: vllm_block.py [STEPS], with vLLM 0.33's Python files importable; on two GPUs also with its compiled custom
all-reduce as vllm/_C_stable_libtorch.abi3.so, else on CPUs, with gloo in place of NCCL and of what is compiled. Each
call is in a span `call NAME`, the replays of the graph in `replay`; its result is compared with what it should be.
Prints what capture noted of each call. FLASHINFER=1 has, without GPUs, FlashInfer's all-reduces too, the one for PCIe
where VLLM_ALLREDUCE_USE_FLASHINFER_PCIE_IPC is 1. SYMMETRIC=1 uses vLLM's symmetric memory without multicast.
"""

import contextlib
import dataclasses
import faulthandler
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

sys.path.insert(0, str(Path(__file__).parent))
vllm_stubs = importlib.import_module("vllm_stubs")

WORLD = 2
ON_GPU = torch.cuda.device_count() >= WORLD
WIDE = 1024
UNEVEN = (10, 22)
FLASHINFER = bool(os.environ.get("FLASHINFER")) and not ON_GPU


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call, c10d's word for it, the elements that this rank sends and receives, and what it gives and should give."""

    name: str
    word: str
    sent: int
    received: int
    run: Callable[[], Any]
    result: Any
    graph: bool = False


def numbers(rows: int, columns: int, rank: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    """Small whole numbers, which all types hold exactly, and of which each rank has others."""
    return (torch.arange(rows * columns).reshape(rows, columns) % 8 + rank).to(dtype)


def calls(group: Any, device: torch.device) -> list[Call]:
    """All calls on the group's communicator."""
    rank, of = dist.get_rank(), group.device_communicator

    def mine(rows: int, columns: int = WIDE, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
        return numbers(rows, columns, rank, dtype).to(device)

    def total(rows: int, columns: int = WIDE, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
        return sum(numbers(rows, columns, r, dtype) for r in range(WORLD))  # type: ignore[return-value]

    def joined(rows: int, columns: int = WIDE, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
        return torch.cat([numbers(rows, columns, r, dtype) for r in range(WORLD)])

    def part(whole: torch.Tensor) -> torch.Tensor:
        return whole.chunk(WORLD)[rank]

    found = []

    def add(name: str, word: str, run: Callable[[], Any], result: Any, sent: int, received: int, **more: Any) -> None:
        found.append(Call(name=name, word=word, run=run, result=result, sent=sent, received=received, **more))

    for name, rows, dtype in (
        ("small", 64, torch.bfloat16),
        ("float", 32, torch.float32),
        ("whole", 3, torch.int64),
        ("large", 1 << 13, torch.bfloat16),
    ):
        tensor, size = mine(rows, dtype=dtype), rows * WIDE
        run = lambda tensor=tensor: group.all_reduce(tensor)  # noqa: E731
        add(f"all_reduce {name}", "allreduce", run, total(rows, dtype=dtype), size, size, graph=True)
    gathered, scattered = mine(48), mine(96)
    add(
        "custom_all_gather",
        "_allgather_base",
        lambda: of.custom_all_gather(gathered),
        joined(48),
        48 * WIDE,
        96 * WIDE,
        graph=True,
    )
    add(
        "custom_reduce_scatter",
        "_reduce_scatter_base",
        lambda: of.custom_reduce_scatter(scattered),
        part(total(96)),
        96 * WIDE,
        48 * WIDE,
        graph=True,
    )
    gather, scatter = mine(40), mine(80)
    add(
        "all_gather",
        "_allgather_base",
        lambda: group.all_gather(gather, 0),
        joined(40),
        40 * WIDE,
        80 * WIDE,
        graph=True,
    )
    add(
        "reduce_scatter",
        "_reduce_scatter_base",
        lambda: group.reduce_scatter(scatter, 0),
        part(total(80)),
        80 * WIDE,
        40 * WIDE,
        graph=True,
    )
    told = mine(24)

    def broadcast() -> Any:
        told.copy_(numbers(24, WIDE, rank))
        return of.broadcast(told, 1)

    add("broadcast", "broadcast", broadcast, numbers(24, WIDE, 1), 24 * WIDE, 24 * WIDE)
    uneven, whole = mine(UNEVEN[rank]), sum(UNEVEN)
    ragged = torch.cat([numbers(UNEVEN[r], WIDE, r) for r in range(WORLD)])
    add(
        "all_gatherv",
        "_allgather_base",
        lambda: group.all_gatherv(uneven, 0, list(UNEVEN)),
        ragged,
        UNEVEN[rank] * WIDE,
        whole * WIDE,
        graph=True,
    )
    spread = mine(whole)
    own = total(whole).split_with_sizes(UNEVEN)[rank]
    add(
        "reduce_scatterv",
        "_reduce_scatter_base",
        lambda: group.reduce_scatterv(spread, 0, list(UNEVEN)),
        own,
        whole * WIDE,
        UNEVEN[rank] * WIDE,
        graph=True,
    )
    several = [mine(20), mine(20, 8, torch.float32), mine(20, 8, torch.int32)]
    results = [joined(20), joined(20, 8, torch.float32), joined(20, 8, torch.int32)]
    size = sum(tensor.nbytes for tensor in several)
    add(
        "all_gatherv of several",
        "_allgather_base",
        lambda: group.all_gatherv(several, 0),
        results,
        size,
        WORLD * size,
        graph=True,
    )
    alike = [mine(12), mine(6)]
    add(
        "all_gatherv of two",
        "_allgather_base",
        lambda: group.all_gatherv(alike, 0),
        [joined(12), joined(6)],
        18 * WIDE,
        36 * WIDE,
    )
    collected = mine(16)
    add("gather", "gather", lambda: of.gather(collected, 0, 0), joined(16) if rank == 0 else None, 16 * WIDE, 32 * WIDE)
    ring = mine(28)

    def exchange() -> Any:
        if rank == 0:
            return of.send(ring, 1)
        return of.recv(ring.size(), ring.dtype, 0)

    word = "recv" if rank else "send"
    add(word, word, exchange, numbers(28, WIDE, 0) if rank else None, 28 * WIDE, 28 * WIDE)
    if not of.pynccl_comm.disabled:
        # As reduce_scatterv goes with VLLM_BATCH_INVARIANT on more than two ranks.
        reduced, output = torch.empty_like(spread), torch.zeros(UNEVEN[rank], WIDE, dtype=torch.bfloat16, device=device)

        def reduce() -> Any:
            of.pynccl_comm.reduce(reduced, spread, 0)
            return reduced if rank == 0 else None

        def scatter_() -> Any:
            of.pynccl_comm.scatter(output, reduced, list(UNEVEN), 0)
            return output

        add(
            "pynccl reduce",
            "reduce",
            reduce,
            total(whole) if rank == 0 else None,
            whole * WIDE,
            whole * WIDE,
            graph=True,
        )
        away = UNEVEN[1] * WIDE
        sizes = (away, 0) if rank == 0 else (0, away)
        own = total(whole).split_with_sizes(UNEVEN)[rank]
        add("pynccl scatter", "send" if rank == 0 else "recv", scatter_, own, *sizes)
    return found


def flashinfer_calls(of: Any) -> list[Call]:
    """All-reduces of FlashInfer that nothing dispatched, where they are on: one prepared shape and two that are not."""
    ways = {"fi_ar_comm": ((56, torch.float16), (2, torch.float32)), "fi_pcie_ipc_ar_comm": ((4, torch.bfloat16),)}
    found = []
    for way, shapes in ways.items():
        communicator = getattr(of, way)
        if communicator is None or communicator.disabled:
            continue
        for rows, dtype in shapes:
            tensor = numbers(rows, WIDE, dist.get_rank(), dtype)
            total: Any = sum(numbers(rows, WIDE, r, dtype) for r in range(WORLD))
            run = lambda tensor=tensor, by=communicator: by.all_reduce(tensor)  # noqa: E731
            name, size = f"{way} {rows}", rows * WIDE
            found.append(Call(name=name, word="allreduce", run=run, result=total, sent=size, received=size, graph=True))
    return found


def same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return all(map(same, found, wanted))
    return wanted is None or (found is not None and torch.equal(found.cpu(), wanted))


def notes() -> tuple[list[Any], list[Any]]:
    from traceana_capture.agent.call_notes import CALLS

    return list(CALLS.calls.values()), list(CALLS.host)


def new_notes(before: tuple[list[Any], list[Any]], graph: list[Any] | None = None) -> list[str]:
    """What capture noted since then, of its calls or of a graph's."""
    calls, host = notes() if graph is None else (graph, [])
    fresh = [*filter(None, calls[len(before[0]) :]), *(call[:4] for call in host[len(before[1]) :])]
    return [
        f"{keys['traceana backend']} {keys['Collective name']} {sent}->{received} {keys.get('dtype')}"
        f" of {keys.get('Group size')}"
        for keys, sent, received, *_ in fresh
    ]


def launches() -> dict[str, int]:
    """How often each of FlashInfer's two all-reduces was launched so far."""
    return importlib.import_module("flashinfer_stub").LAUNCHES if FLASHINFER else {}


def one(call: Call, steps: int) -> dict[str, Any]:
    """Run it, and say whether its result is right and what was noted of it."""
    said: dict[str, Any] = {"call": call.name, "word": call.word, "sent": call.sent, "received": call.received}
    try:
        call.run()  # what is set up at the first call is not of it
        before, launched = notes(), dict(launches())
        for _ in range(steps):
            with torch.profiler.record_function(f"call {call.name}"):
                result = call.run()
        if ON_GPU:
            torch.cuda.synchronize()
        said |= {"right": same(result, call.result), "none": result is None, "noted": new_notes(before)}
        said |= {way: number - launched[way] for way, number in launches().items()}
    except Exception as error:  # the next call is of interest all the same
        said |= {"error": f"{type(error).__name__}: {error}"}
    return said


def graphed(group: Any, some: list[Call], steps: int) -> list[dict[str, Any]]:
    """Capture them in one graph, as vLLM does, and replay it."""
    graph, results = torch.cuda.CUDAGraph(), []
    with group.graph_capture() as context:
        for call in some:
            call.run()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph, stream=context.stream):
            results = [call.run() for call in some]
    for _ in range(steps):
        with torch.profiler.record_function("replay"):
            graph.replay()
        torch.cuda.synchronize()
    return [
        {"call": f"graph: {call.name}", "word": call.word, "sent": call.sent, "received": call.received}
        | {"right": same(result, call.result)}
        for call, result in zip(some, results, strict=True)
    ]


def as_in_a_graph(group: Any, some: list[Call]) -> list[dict[str, Any]]:
    """Where there is no GPU: what is noted while a stream says that it is being captured."""
    from traceana_capture.agent.call_notes import CALLS

    communicator, said = group.device_communicator.ca_comm, []
    capture = contextlib.nullcontext() if communicator is None else communicator.capture()
    capturing, torch.cuda.is_current_stream_capturing = torch.cuda.is_current_stream_capturing, lambda: True
    CALLS.begin_graph()
    with capture:
        for call in some:
            before = len(CALLS.graphs[-1])
            right = same(call.run(), call.result)
            fresh = new_notes((CALLS.graphs[-1][:before], []), CALLS.graphs[-1])
            said.append({"call": f"graph: {call.name}", "right": right, "noted": fresh})
    CALLS.end_graph()
    torch.cuda.is_current_stream_capturing = capturing
    return said


def rank_main(rank: int, steps: int) -> None:
    torch.set_num_threads(1)
    os.environ["VLLM_SKIP_P2P_CHECK"] = "1"
    vllm_stubs.without_configuration()
    if FLASHINFER:
        importlib.import_module("flashinfer_stub").install()
    if ON_GPU:
        torch.cuda.set_device(rank)
    else:
        vllm_stubs.without_gpus()
    pynccl_wrapper = importlib.import_module("vllm.distributed.device_communicators.pynccl_wrapper")
    if ON_GPU:
        # NCCL before 2.29 has no such functions, and vLLM then does without NCCL.
        library = pynccl_wrapper.NCCLLibrary
        later = ("ncclCommSuspend", "ncclCommResume")
        library.exported_functions = [known for known in library.exported_functions if known.name not in later]
    else:
        vllm_stubs.without_nccl()
    backend = "cpu:gloo,cuda:nccl" if ON_GPU else "gloo"
    address = f"tcp://127.0.0.1:{os.environ.get('MASTER_PORT', '29591')}"
    dist.init_process_group(backend, rank=rank, world_size=WORLD, init_method=address)
    coordinator = importlib.import_module("vllm.distributed.parallel_state").GroupCoordinator
    carrier = "nccl" if ON_GPU else "gloo"
    group = coordinator([[0, 1]], rank, carrier, use_device_communicator=True, group_name="tp")
    faulthandler.dump_traceback_later(40, exit=True)
    of = group.device_communicator
    if os.environ.get("SYMMETRIC") and of.symm_mem_comm is not None and ON_GPU:
        # All is set up but for the multicast, which two ranks do not use.
        of.symm_mem_comm.disabled, of.symm_mem_comm.force_multimem = False, None
    ways = ("ca_comm", "symm_mem_comm", "fi_ar_comm", "fi_pcie_ipc_ar_comm", "pynccl_comm")
    made = {way: None if getattr(of, way) is None else not getattr(of, way).disabled for way in ways}
    said: list[dict[str, Any]] = [{"made": made}]
    if of.fi_pcie_ipc_ar_comm is not None:
        of.fi_pcie_ipc_ar_comm.setup(
            hidden_dim=WIDE, dtype=torch.bfloat16, capture_sizes=[64], tune_cache=Path(os.environ["SAID"])
        )
    all_calls = calls(group, group.device)
    if FLASHINFER:
        all_calls += flashinfer_calls(of)
    said += [one(call, steps) for call in all_calls]
    known = {line["call"] for line in said[1:] if line.get("right") and not line.get("none")}
    # The ranks must agree, and one that receives nothing has no result.
    agreed = [known]
    dist.broadcast_object_list(agreed, 0, group.cpu_group)
    some = [call for call in all_calls if call.graph and call.name in agreed[0]]
    try:
        said += graphed(group, some, steps) if ON_GPU else as_in_a_graph(group, some)
    except Exception as error:
        said.append({"call": "graph", "error": f"{type(error).__name__}: {error}"})
    Path(f"{os.environ['SAID']}.rank{rank}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    print(f"rank {rank}: {len(said) - 1} calls", flush=True)
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)


if __name__ == "__main__":
    spawn(rank_main, args=(int(sys.argv[1]) if sys.argv[1:] else 3,), nprocs=WORLD)  # type: ignore[no-untyped-call]
