"""Collectives that neither c10d nor NCCL carries, by stand-ins of the classes and traces made by hand."""

import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from traceana_capture.agent import direct
from traceana_capture.agent.call_notes import Calls
from traceana_capture.launcher.graph_replays import annotate_replays
from traceana_capture.launcher.publish import annotate, record

from traceana.kernels import Kind, classify

ONE_SHOT = "void sglang::all_reduce_1shot_push_kernel<bf16>(Params)"
TWO_STAGE = "void vllm::cross_device_reduce_2stage<half, 2>(vllm::RankData*)"
MULTIMEM = "void c10d::symmetric_memory::multimem_all_reduce_kernel<float, 16>(float*)"
SIGNAL, WAIT = "bump_signal_kernel(int*, int*)", "spin_wait_kernel(int*, int*)"


def records(noted: Calls) -> list[dict[str, Any] | None]:
    facts = noted.export()
    return [record(facts["keys"], facts["modules"], call) if call else None for call in facts["calls"]]


class CustomAllreduce:
    """The method of sglang's and vLLM's class as far as it is wrapped."""

    def __init__(self, limit: int) -> None:
        self.limit, self.group = limit, dist.group.WORLD

    def custom_all_reduce(self, input: torch.Tensor) -> torch.Tensor | None:
        return input * 2 if input.numel() <= self.limit else None


def test_custom_all_reduce_has_its_size_unless_it_did_nothing(noted: Calls) -> None:
    module: Any = types.ModuleType("vllm.distributed.device_communicators.custom_all_reduce")
    module.CustomAllreduce = type("CustomAllreduce", (CustomAllreduce,), {})
    direct.watch(module)
    communicator = module.CustomAllreduce(100)
    communicator.custom_all_reduce(torch.ones(64, dtype=torch.bfloat16))
    assert communicator.custom_all_reduce(torch.ones(128)) is None
    communicator.custom_all_reduce(torch.ones(32, dtype=torch.float16))
    first, second, third = records(noted)
    assert second is None
    assert first is not None
    assert (first["Collective name"], first["In msg nelems"], first["dtype"]) == ("allreduce", 64, "BFloat16")
    assert (first["Group size"], first["Process Group Ranks"]) == (1, "[0]")
    assert (first["traceana backend"], first["traceana library"]) == ("custom all-reduce", "vllm")
    assert third is not None
    assert third["dtype"] == "Half"


def test_vllms_gathers_and_scatters_have_both_sizes(noted: Calls) -> None:
    module: Any = types.ModuleType("vllm.distributed.device_communicators.custom_all_reduce")
    parts = {name: lambda self, x: x for name in ("custom_all_gather", "custom_reduce_scatter")}
    module.CustomAllreduce = type("CustomAllreduce", (CustomAllreduce,), parts)
    direct.watch(module)
    communicator = module.CustomAllreduce(100)
    communicator.custom_all_gather(torch.ones(16))
    communicator.custom_reduce_scatter(torch.ones(8))
    found = [(r["Collective name"], r["In msg nelems"], r["Out msg nelems"]) for r in records(noted) if r]
    assert found == [("_allgather_base", 16, 16), ("_reduce_scatter_base", 8, 8)]


@pytest.mark.parametrize(
    ("name", "kind", "backend"),
    [
        ("flashinfer_all_reduce", "FlashInferAllReduce", "fused all-reduce"),
        ("flashinfer_pcie_ipc_all_reduce", "FlashInferPcieIpcAllReduce", "custom all-reduce"),
    ],
)
def test_flashinfers_all_reduce_has_its_size(noted: Calls, name: str, kind: str, backend: str) -> None:
    module: Any = types.ModuleType(f"vllm.distributed.device_communicators.{name}")
    members = {"group": property(lambda _: dist.group.WORLD), "all_reduce": lambda self, x: x}
    setattr(module, kind, type(kind, (), members))
    direct.watch(module)
    getattr(module, kind)().all_reduce(torch.ones(4, 8, dtype=torch.bfloat16))
    ((only),) = records(noted)
    assert only is not None
    assert (only["Collective name"], only["In msg nelems"], only["traceana backend"]) == ("allreduce", 32, backend)


def test_sglangs_pcie_all_reduce_goes_by_its_own_group(noted: Calls) -> None:
    """In sglang 0.5.23 it has `_group` where the others have `group`; the default group is another in most programs."""
    module: Any = types.ModuleType("sglang.srt.distributed.device_communicators.pcie_ipc_ar")
    group: Any = dist.new_group([0])
    members = {"_group": group, "_cpu_group": dist.GroupMember.WORLD, "pcie_ipc_all_reduce": lambda self, inp: inp}
    module.PcieIpcCommunicator = type("PcieIpcCommunicator", (), members)
    direct.watch(module)
    module.PcieIpcCommunicator().pcie_ipc_all_reduce(inp=torch.ones(4, 8))
    ((only,)) = records(noted)
    assert only is not None
    assert only["Process Group Name"] == group.group_name != dist.group.WORLD.group_name  # type: ignore[union-attr]


def test_a_communicator_whose_group_is_not_known_has_no_size(noted: Calls) -> None:
    module: Any = types.ModuleType("vllm.distributed.device_communicators.flashinfer_all_reduce")
    module.FlashInferAllReduce = type("FlashInferAllReduce", (), {"all_reduce": lambda self, input_tensor: "sum"})
    direct.watch(module)
    assert module.FlashInferAllReduce().all_reduce(input_tensor=torch.ones(4, 8)) == "sum"
    assert records(noted) == []


def test_a_try_that_did_nothing_is_no_call(noted: Calls) -> None:
    """Sglang tries CUDA IPC, which answers None, and then issues the call itself: one call."""
    module: Any = types.ModuleType("vllm.distributed.device_communicators.custom_all_reduce")
    module.CustomAllreduce = type("CustomAllreduce", (CustomAllreduce,), {})
    direct.watch(module)
    communicator = module.CustomAllreduce(100)
    communicator.custom_all_reduce(torch.ones(128))
    assert noted.seen == 0
    communicator.custom_all_reduce(torch.ones(64))
    assert noted.seen == 1


def test_what_a_thread_takes_back_is_its_own(noted: Calls) -> None:
    keys, begun, taken = {"Collective name": "allreduce"}, threading.Event(), threading.Event()

    def other() -> None:
        noted.span(keys, 2, 2, None)
        begun.set()
        taken.wait()

    def graph() -> None:
        noted.span(keys, 5, 5, None)

    thread = threading.Thread(target=other)
    noted.span(keys, 1, 1, None)
    thread.start()
    begun.wait()
    noted.take_back()
    taken.set()
    thread.join()
    assert [sent for _, sent, *_ in noted.calls.values()] == [2]
    noted.begin_graph()
    noted.span(keys, 4, 4, None)
    thread = threading.Thread(target=graph)
    thread.start()
    thread.join()
    noted.take_back()
    assert [call and call[1] for call in noted.graphs[-1]] == [None, 5]
    assert [len(graph) for graph in noted.export()["graphs"]] == [1]


def test_one_exchange_of_three_tensors_is_one_call(noted: Calls) -> None:
    module: Any = types.ModuleType(direct.USP)
    module._ipc_input_a2a_qkv = lambda q, k, v: (q, k, v)
    module._ipc_varlen_fast = module._ipc_input_a2a_qkv_segmented = lambda *_: None
    direct.watch(module)
    module._ipc_input_a2a_qkv(*(torch.ones(2, 8) for _ in range(3)))
    (only,) = records(noted)
    assert only is not None
    assert (only["Collective name"], only["In msg nelems"], only["traceana backend"]) == ("all_to_all", 48, "CUDA IPC")


def test_a_missing_function_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    direct.watch(types.ModuleType("vllm.distributed.device_communicators.quick_all_reduce"))
    assert "has no QuickAllReduce.quick_all_reduce" in capsys.readouterr().err


@pytest.fixture
def operators() -> Iterator[list[Any]]:
    """Torch's operators of symmetric memory while they note their calls."""
    known = [getattr(torch.ops.symm_mem, name, None) for name in direct.OPERATORS]
    packets = [packet for packet in known if packet is not None]
    direct.watch_symmetric_memory()
    yield packets
    for packet in packets:
        packet.__class__ = torch._ops.OpOverloadPacket


def test_operators_of_symmetric_memory(noted: Calls, operators: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch._ops.OpOverloadPacket, "__call__", lambda *_, **__: None)
    group = dist.group.WORLD.group_name  # type: ignore[union-attr]
    for operator in operators:
        (sent, _), _ = operator.traceana_arguments
        names = [argument.name for argument in operator.default._schema.arguments]
        operator(*(torch.ones(10) if n == sent else group if n == "group_name" else None for n in names))
    found = [r for r in records(noted) if r is not None]
    # Older torch has fewer.
    assert {r["Collective name"] for r in found} == {operator.traceana_word for operator in operators}
    assert {(r["In msg nelems"], r["traceana backend"]) for r in found} == {(10, "symmetric memory")}


def test_an_operator_tells_itself_what_is_wrong_with_its_arguments(noted: Calls, operators: list[Any]) -> None:
    with pytest.raises(RuntimeError, match="multimem_all_reduce_"):
        torch.ops.symm_mem.multimem_all_reduce_(torch.ones(1))
    assert records(noted) == []


def test_torchs_compiler_knows_the_operators(operators: list[Any]) -> None:
    before = torch.ops.symm_mem.multimem_all_reduce_
    assert before in operators
    assert isinstance(before, torch._ops.OpOverloadPacket)
    assert before.default.overloadpacket is before


def facts(backend: str, name: str = "allreduce", elements: int = 7) -> dict[str, Any]:
    return {"Collective name": name, "In msg nelems": elements, "traceana backend": backend}


def span(number: int, ts: float) -> dict[str, Any]:
    return {"cat": "user_annotation", "name": f"traceana::{number}", "tid": 1, "ts": ts, "dur": 10}


def launched(name: str, ts: float, correlation: int) -> list[dict[str, Any]]:
    args = {"correlation": correlation}
    return [
        {"cat": "cuda_runtime", "name": "cudaLaunchKernel", "tid": 1, "ts": ts, "dur": 1, "args": args},
        {"cat": "kernel", "name": name, "tid": 7, "ts": ts + 5, "dur": 2, "args": dict(args)},
    ]


def sized(events: list[dict[str, Any]]) -> dict[str, int]:
    return {e["name"]: e["args"]["In msg nelems"] for e in events if "In msg nelems" in e.get("args", {})}


def test_each_backends_keys_go_onto_its_own_kernels() -> None:
    events = [
        *(span(number, 100 * number) for number in range(5)),
        *launched("gemm", 1, 1),
        *launched(ONE_SHOT, 2, 2),
        *launched(MULTIMEM, 101, 3),
        *launched(SIGNAL, 201, 4),
        *launched(WAIT, 202, 5),
        *launched(TWO_STAGE, 301, 6),
    ]
    backends = ("custom all-reduce", "symmetric memory", "CUDA IPC", "pynccl")
    trace = {"traceEvents": events}
    annotate(trace, [*(facts(backend, elements=n) for n, backend in enumerate(backends)), None])
    # A call of PyNccl does not give its keys to a kernel of another backend.
    assert sized(events) == {ONE_SHOT: 0, MULTIMEM: 1, WAIT: 2}
    names = [event["name"] for event in trace["traceEvents"] if event["cat"] == "user_annotation"]
    assert names == [f"{backend}:allreduce" for backend in backends]


BARRIER = "void vllm::mnnvl_multimem_barrier_kernel<true, 4>(vllm::Signal*)"
SCATTER = "void vllm::mnnvl_multimem_reduce_scatter_kernel<float, 4>(float const*)"


def test_a_call_of_several_kernels_gives_its_size_to_the_one_that_moves_it() -> None:
    record = facts("custom all-reduce", "_reduce_scatter_base")
    events = [span(0, 0), *launched(BARRIER, 1, 1), *launched(SCATTER, 2, 2), *launched(BARRIER, 3, 3)]
    annotate({"traceEvents": events}, [record])
    assert sized(events) == {SCATTER: 7}


def test_kernels_that_share_a_call_have_no_size_of_their_own() -> None:
    """VLLM reduces a large message in chunks where results must not depend on the batch."""
    events = [span(0, 0), *launched(TWO_STAGE, 1, 1), *launched(TWO_STAGE, 2, 2)]
    annotate({"traceEvents": events}, [facts("custom all-reduce")])
    assert sized(events) == {}
    words = [e["args"].get("Collective name") for e in events if e["cat"] == "kernel"]
    assert words == ["allreduce", "allreduce"]


def test_replays_of_a_graph_with_several_backends() -> None:
    launch = {"cat": "cuda_runtime", "name": "cudaGraphLaunch", "ts": 0, "dur": 1, "args": {"correlation": 3}}
    names = ("ncclDevKernel_AllReduce_Sum_bf16_RING_LL", ONE_SHOT, SIGNAL, WAIT, MULTIMEM)
    kernels = [
        {"cat": "kernel", "name": name, "ts": ts, "dur": 1, "args": {"correlation": 3}} for ts, name in enumerate(names)
    ]
    graph = [facts("pynccl", elements=1), facts("custom all-reduce", elements=2)]
    graph += [facts("CUDA IPC", "all_to_all", 3), facts("symmetric memory", elements=4)]
    annotate_replays([launch, *kernels], [graph])
    assert sized(kernels) == {names[0]: 1, ONE_SHOT: 2, WAIT: 3, MULTIMEM: 4}


@pytest.mark.parametrize(
    ("name", "library", "operation"),
    [
        (ONE_SHOT, "custom", "all_reduce"),
        (TWO_STAGE, "custom", "all_reduce"),
        (MULTIMEM, "symm_mem", "all_reduce"),
        ("void vllm::cross_device_all_gather<half, 2>(vllm::RankData*)", "custom", "all_gather"),
        ("void vllm::mnnvl_lamport_reduce_scatter_kernel<half>(half*)", "custom", "reduce_scatter"),
        ("void flashinfer::trtllm_mnnvl_allreduce::twoshotAllreduceKernel<8>(float*)", "fused", "all_reduce"),
        ("void flashinfer::comm::pcie_ipc::ipc_rsag_push_param_kernel<half>(half*)", "custom", "all_reduce"),
        (WAIT, "ipc", "all_to_all"),
    ],
)
def test_the_analysis_takes_these_kernels_for_communication(name: str, library: str, operation: str) -> None:
    kind = classify(name, "kernel")
    assert (kind.kind, kind.library, kind.op) == (Kind.COMMUNICATION, library, operation)
