"""Two ranks that call vLLM's own communicators, each call with a size of its own, one by one and in a CUDA graph.

Usage: vllm_block.py [STEPS], with vLLM 0.33's Python files importable; on two GPUs also with its compiled custom
all-reduce as vllm/_C_stable_libtorch.abi3.so, else on CPUs, with gloo in place of NCCL and of what is compiled. Each
call is in a span `call NAME`, the replays of the graph in `replay`; its result is compared with what it should be.
Prints what capture noted of each call. FLASHINFER=1 has, without GPUs, FlashInfer's all-reduces too, the one for PCIe
where VLLM_ALLREDUCE_USE_FLASHINFER_PCIE_IPC is 1. SYMMETRIC=1 uses vLLM's symmetric memory without multicast.
"""

import contextlib
import faulthandler
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

sys.path.insert(0, str(Path(__file__).parent))
vllm_stubs = importlib.import_module("vllm_stubs")
vllm_calls = importlib.import_module("vllm_calls")

WORLD = 2
ON_GPU = torch.cuda.device_count() >= WORLD
FLASHINFER = bool(os.environ.get("FLASHINFER")) and not ON_GPU


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


def one(call: Any, steps: int) -> dict[str, Any]:
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


def graphed(group: Any, some: list[Any], steps: int) -> list[dict[str, Any]]:
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


def as_in_a_graph(group: Any, some: list[Any]) -> list[dict[str, Any]]:
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


def imported(rank: int) -> Any:
    """vLLM's class of process groups, with what stands for what this machine has not."""
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
    return importlib.import_module("vllm.distributed.parallel_state").GroupCoordinator


def group_of_both(rank: int) -> Any:
    """A group of vLLM's, and all its communicators that are on."""
    coordinator, carrier = imported(rank), "nccl" if ON_GPU else "gloo"
    backend = "cpu:gloo,cuda:nccl" if ON_GPU else "gloo"
    address = f"tcp://127.0.0.1:{os.environ.get('MASTER_PORT', '29591')}"
    dist.init_process_group(backend, rank=rank, world_size=WORLD, init_method=address)
    group = coordinator([[0, 1]], rank, carrier, use_device_communicator=True, group_name="tp")
    of = group.device_communicator
    if os.environ.get("SYMMETRIC") and of.symm_mem_comm is not None and ON_GPU:
        # All is set up but for the multicast, which two ranks do not use.
        of.symm_mem_comm.disabled, of.symm_mem_comm.force_multimem = False, None
    return group


def calls_of(group: Any) -> list[Any]:
    """What both ranks call."""
    pcie = group.device_communicator.fi_pcie_ipc_ar_comm
    if pcie is not None:
        wide, file = vllm_calls.WIDE, Path(os.environ["SAID"])
        pcie.setup(hidden_dim=wide, dtype=torch.bfloat16, capture_sizes=[64], tune_cache=file)
    found = vllm_calls.Calls(group, group.device)
    return [*found.all(), *(found.flashinfer() if FLASHINFER else [])]


def rank_main(rank: int, steps: int) -> None:
    torch.set_num_threads(1)
    group = group_of_both(rank)
    faulthandler.dump_traceback_later(40, exit=True)
    ways = ("ca_comm", "symm_mem_comm", "fi_ar_comm", "fi_pcie_ipc_ar_comm", "pynccl_comm")
    made = {way: getattr(group.device_communicator, way) for way in ways}
    said: list[dict[str, Any]] = [{"made": {way: one and not one.disabled for way, one in made.items()}}]
    all_calls = calls_of(group)
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
