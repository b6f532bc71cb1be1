"""Which call issued a kernel, in small traces that each hold one oddity."""

import json
from pathlib import Path
from typing import Any

import pytest

from traceana.analyze.measure import RankResult, measure_rank
from traceana.analyze.summarize import host_calls

Event = dict[str, Any]
ALL_REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
SEND_RECV = "ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)"
GENERIC = "ncclDevKernel_Generic(ncclDevKernelArgsStorage<4096ul>)"


def event(cat: str, name: str, ts: float, dur: float, tid: int = 100, **args: Any) -> Event:
    return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur, "pid": 1, "tid": tid, "args": args}


def facts(word: str, nelems: int = 1024, **more: Any) -> Event:
    sizes = {"In msg nelems": nelems, "Out msg nelems": nelems, "dtype": "BFloat16", "Group size": 2}
    return {"Collective name": word, **sizes, "Process Group Name": "0", "Process Group Ranks": "[0, 1]", **more}


def issued(word: str, ts: float, dur: float = 5, nelems: int = 1024, **more: Any) -> Event:
    return event("cpu_op", "record_param_comms", ts, dur, **facts(word, nelems, **more))


def launched(name: str, ts: float, correlation: int, launch: str = "cudaLaunchKernelExC", **more: Any) -> list[Event]:
    """A launch at `ts` and, 100 µs later, its kernel of 50 µs."""
    place = {"device": 0, "stream": 20, "correlation": correlation}
    return [
        event("cuda_runtime", launch, ts, 2, correlation=correlation),
        event("kernel", name, ts + 100, 50, tid=20, **place, **more),
    ]


def measured(folder: Path, *events: Event) -> RankResult:
    path = folder / "rank0.json"
    path.write_text(json.dumps({"traceEvents": list(events)}))
    return measure_rank(path)


def found(result: RankResult) -> list[tuple[str, str, int | None, int]]:
    """Operation, backend, message bytes and members of each call."""
    signatures = [result.collectives.signatures[code] for code in result.collectives.signature.tolist()]
    return [(one.op, one.backend, one.message_bytes, one.members) for one in signatures]


def test_a_batch_of_sends_is_one_call_of_what_is_sent(tmp_path: Path) -> None:
    calls = [issued("send", 0, nelems=1000), issued("recv", 10, nelems=3000), issued("send", 20, nelems=500)]
    result = measured(tmp_path, *calls, *launched(SEND_RECV, 30, 1))
    assert found(result) == [("send_recv", "torch.distributed", 3000, 3)]


def test_each_batch_takes_its_own_calls(tmp_path: Path) -> None:
    first = [issued("send", 0, nelems=1000), issued("recv", 10), *launched(SEND_RECV, 20, 1)]
    second = [issued("send", 300, nelems=7), issued("recv", 310, nelems=7), *launched(SEND_RECV, 320, 2)]
    result = measured(tmp_path, *first, *second)
    assert [size for _, _, size, _ in found(result)] == [2000, 14]


def test_coalesced_collectives_are_added_up(tmp_path: Path) -> None:
    calls = [issued("allreduce", ts, nelems=1000) for ts in (0, 10, 20)]
    around = event("user_annotation", "nccl:coalesced", 30, 10)
    result = measured(tmp_path, *calls, around, *launched(ALL_REDUCE, 32, 1))
    assert found(result) == [("all_reduce", "torch.distributed", 6000, 3)]


def test_what_c10d_annotates_without_a_call_is_its_own_and_has_no_size(tmp_path: Path) -> None:
    on_device = event("gpu_user_annotation", "nccl:coalesced", 130, 60, tid=20)
    result = measured(tmp_path, *launched(ALL_REDUCE, 32, 1), on_device)
    assert found(result) == [("all_reduce", "torch.distributed", None, 1)]


def test_calls_of_gloo_before_a_direct_call_are_not_its(tmp_path: Path) -> None:
    gloo = event("user_annotation", "gloo:send", 2, 5, tid=101)
    result = measured(tmp_path, issued("send", 0), gloo, *launched(SEND_RECV, 30, 1))
    assert found(result) == [("send_recv", "direct call", None, 1)]
    assert result.host_calls is not None
    listed = [(one.op, one.count, one.duration_ns.p50) for one in host_calls([result.host_calls])]
    assert listed == [("send_recv", 1, 5000)]


def test_another_operation_waiting_for_its_kernel_is_not_taken(tmp_path: Path) -> None:
    around = event("user_annotation", "nccl:coalesced", 30, 10)
    result = measured(tmp_path, issued("allreduce", 0), around, *launched(SEND_RECV, 32, 1))
    assert found(result) == [("send_recv", "torch.distributed", None, 1)]


def test_an_external_id_leads_to_the_call(tmp_path: Path) -> None:
    call = issued("allreduce", 50, **{"External id": 500})
    place = {"device": 0, "stream": 3, "correlation": 0, "External id": 500}
    result = measured(tmp_path, call, event("kernel", GENERIC, 200, 300, tid=3, **place))
    assert found(result) == [("all_reduce", "torch.distributed", 2048, 1)]


def test_kernels_of_one_call_are_one_row(tmp_path: Path) -> None:
    call = issued("all_to_allv", 50, dur=30, nelems=4096)
    result = measured(tmp_path, call, *launched(SEND_RECV, 55, 1), *launched(SEND_RECV, 115, 2)[1:])
    assert len(found(result)) == 2  # the second kernel's launch is not in the trace, so nothing ties it to the call
    result = measured(tmp_path, call, *launched(SEND_RECV, 55, 1), *launched(SEND_RECV, 70, 2))
    assert found(result) == [("all_to_all", "torch.distributed", 8192, 1)]
    assert (result.collectives.end_ns - result.collectives.start_ns).tolist() == [65_000]


def test_kernels_that_repeat_a_number_are_one_call_and_kernels_alike_are_not(tmp_path: Path) -> None:
    def twice(ts: float, correlation: int, **more: Any) -> list[Event]:
        return [one for i in (0, 1) for one in launched(SEND_RECV, ts + 50 * i, correlation + i, **more)]

    numbered = [*twice(0, 1, **facts("all_to_all", Seq=1)), *twice(200, 3, **facts("all_to_all", Seq=2))]
    assert len(found(measured(tmp_path, *numbered))) == 2
    bare = [*twice(0, 1, **facts("all_to_all")), *twice(200, 3, **facts("all_to_all"))]
    assert len(found(measured(tmp_path, *bare))) == 4
    same = [*twice(0, 1, **facts("all_to_all", Seq=1)), *twice(200, 3, **facts("all_to_all", Seq=1))]
    assert len(found(measured(tmp_path, *same))) == 4  # a number that all bear tells no calls apart


@pytest.mark.parametrize(
    ("launch", "backend"), [("cudaGraphLaunch", "unknown"), ("cudaLaunchKernelExC", "direct call")]
)
def test_one_kernel_of_a_graph_is_the_graphs(tmp_path: Path, launch: str, backend: str) -> None:
    assert found(measured(tmp_path, *launched(ALL_REDUCE, 0, 1, launch))) == [("all_reduce", backend, None, 1)]


def test_a_copy_inside_a_call_without_kernel_is_the_call(tmp_path: Path) -> None:
    call = issued("_allgather_base", 50, dur=30)
    copies = [
        event("cuda_runtime", "cudaMemcpyBatchAsync", 60, 5, correlation=1),
        event("gpu_memcpy", "Memcpy PtoP (Device -> Device)", 200, 30, tid=20, device=0, stream=20, correlation=1),
    ]
    result = measured(tmp_path, call, *copies)
    assert found(result) == [("all_gather", "torch.distributed", 4096, 1)]
    assert (result.split.comm_ns, result.split.memory_ns, result.comm_kernels) == (30_000, 0, 0)
    result = measured(tmp_path, call, *copies, *launched(ALL_REDUCE, 70, 2))
    assert (len(found(result)), result.split.memory_ns) == (1, 30_000)


def test_devices_that_are_not_read_are_named(tmp_path: Path) -> None:
    result = measured(tmp_path, *launched(ALL_REDUCE, 0, 1), event("privateuse1_kernel", "x", 0, 5))
    assert result.foreign == ("privateuse1_kernel",)
