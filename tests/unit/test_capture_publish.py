"""What a direct NCCL call leaves in the trace, shown by a stand-in of sglang's NCCLLibrary and a trace made by hand."""

import types
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from traceana_capture.agent import call_notes
from traceana_capture.agent.choices import KERNEL, MAKING
from traceana_capture.agent.pynccl import watch_library
from traceana_capture.launcher.publish import annotate, record, write

HALF = 6


class NCCLLibrary:
    """The methods and argument names of sglang 0.5.23's and vLLM 0.33's pynccl_wrapper."""

    def ncclGetVersion(self) -> str:
        return "2.28.9"

    def ncclCommInitRank(self, world_size: int, unique_id: int, rank: int) -> int:
        return 7

    def ncclAllReduce(self, sendbuff: int, recvbuff: int, count: int, datatype: int, op: int, comm: int) -> None: ...
    def ncclReduce(
        self, sendbuff: int, recvbuff: int, count: int, datatype: int, op: int, root: int, comm: int
    ) -> None: ...
    def ncclAllGather(self, sendbuff: int, recvbuff: int, count: int, datatype: int, comm: int) -> None: ...
    def ncclReduceScatter(
        self, sendbuff: int, recvbuff: int, count: int, datatype: int, op: int, comm: int
    ) -> None: ...
    def ncclBroadcast(self, sendbuff: int, recvbuff: int, count: int, datatype: int, root: int, comm: int) -> None: ...
    def ncclSend(self, sendbuff: int, count: int, datatype: int, dest: int, comm: int) -> None: ...
    def ncclRecv(self, recvbuff: int, count: int, datatype: int, src: int, comm: int) -> None: ...
    def ncclGroupStart(self) -> None: ...
    def ncclGroupEnd(self) -> None: ...


class Watched(NamedTuple):
    """A library under watch, one of its communicators of two ranks, of which this is rank 0, and what was noted."""

    library: Any
    comm: int
    calls: call_notes.Calls

    def records(self) -> list[dict[str, Any]]:
        facts = self.calls.export()
        return [record(facts["keys"], facts["modules"], call) for call in facts["calls"]]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    module: Any = types.ModuleType("framework.pynccl_wrapper")
    module.NCCLLibrary = type("NCCLLibrary", (NCCLLibrary,), {})
    watch_library(module)
    calls = call_notes.Calls()
    calls.recording = True
    monkeypatch.setattr("traceana_capture.agent.pynccl.CALLS", calls)
    library = module.NCCLLibrary()
    return Watched(library, library.ncclCommInitRank(2, 0, 0), calls)


@pytest.fixture
def recorded(watched: Watched) -> list[dict[str, Any]]:
    library, comm, _ = watched
    library.ncclAllReduce(0, 0, 100, HALF, 0, comm)
    library.ncclAllGather(0, 0, 100, HALF, comm)
    library.ncclReduceScatter(0, 0, 100, HALF, 0, comm)
    library.ncclGroupStart()
    for peer in (0, 1):
        library.ncclSend(0, 100, HALF, peer, comm)
        library.ncclRecv(0, 100, HALF, peer, comm)
    library.ncclGroupEnd()
    library.ncclReduce(0, 0, 30, HALF, 0, 1, comm)
    return watched.records()


def test_sizes_of_direct_calls(recorded: list[dict[str, Any]]) -> None:
    seen = [(r["Collective name"], r["In msg nelems"], r["Out msg nelems"], r["Seq"]) for r in recorded]
    assert seen == [
        ("allreduce", 100, 100, 0),
        ("_allgather_base", 100, 200, 1),
        ("_reduce_scatter_base", 200, 100, 2),
        ("all_to_all", 200, 200, 3),
        ("reduce", 30, 30, 4),
    ]
    assert {(r["dtype"], r["Group size"], r["traceana library"]) for r in recorded} == {("Half", 2, "NCCL 2.28.9")}


def test_what_tries_a_communicator_is_told_from_the_programs_calls(watched: Watched) -> None:
    with watched.calls.making:
        watched.library.ncclAllReduce(0, 0, 1, HALF, 0, watched.comm)
    watched.library.ncclAllReduce(0, 0, 1, HALF, 0, watched.comm)
    assert [MAKING in call for call in watched.records()] == [True, False]


def test_a_group_of_broadcasts_that_gathers_tells_what_its_kernel_is_named_after(watched: Watched) -> None:
    library, comm, _ = watched
    library.ncclGroupStart()
    for root, count in enumerate((10, 22)):
        library.ncclBroadcast(0, 0, count, HALF, root, comm)
    library.ncclGroupEnd()
    library.ncclAllGather(0, 0, 5, HALF, comm)
    seen = [(r["Collective name"], r["In msg nelems"], r["Out msg nelems"], r.get(KERNEL)) for r in watched.records()]
    assert seen == [("_allgather_base", 10, 32, "broadcast"), ("_allgather_base", 5, 10, None)]


class Nccl:
    """NCCL's own library, of which the wrapper has no function that tells a communicator's size."""

    def ncclCommCount(self, comm: int, count: Any) -> int:
        count._obj.value = 4
        return 0 if comm == 7 else 3


@pytest.mark.parametrize(("comm", "size", "gathered"), [(7, 4, 400), (8, None, None)])
def test_the_size_of_a_communicator_that_was_there_before(
    monkeypatch: pytest.MonkeyPatch, comm: int, size: int | None, gathered: int | None
) -> None:
    module = types.ModuleType("framework.pynccl_wrapper")
    module.NCCLLibrary = type("NCCLLibrary", (NCCLLibrary,), {"lib": Nccl()})  # type: ignore[attr-defined]
    watch_library(module)
    fresh = call_notes.Calls()
    fresh.recording = True
    monkeypatch.setattr("traceana_capture.agent.pynccl.CALLS", fresh)
    module.NCCLLibrary().ncclAllGather(0, 0, 100, HALF, comm)
    facts = fresh.export()
    (known,) = [record(facts["keys"], facts["modules"], call) for call in facts["calls"]]
    assert (known.get("Group size"), known["In msg nelems"], known.get("Out msg nelems")) == (size, 100, gathered)


def test_a_group_inside_a_group_is_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """NCCL launches the kernel at the outermost end."""
    module = types.ModuleType("framework.pynccl_wrapper")
    module.NCCLLibrary = type("NCCLLibrary", (NCCLLibrary,), {})  # type: ignore[attr-defined]
    watch_library(module)
    fresh = call_notes.Calls()
    fresh.recording = True
    monkeypatch.setattr("traceana_capture.agent.pynccl.CALLS", fresh)
    library = module.NCCLLibrary()
    comm = library.ncclCommInitRank(2, 0, 0)
    library.ncclGroupStart()
    library.ncclGroupStart()
    library.ncclSend(0, 100, HALF, 1, comm)
    library.ncclGroupEnd()
    library.ncclSend(0, 50, HALF, 1, comm)
    library.ncclGroupEnd()
    facts = fresh.export()
    (call,) = [record(facts["keys"], facts["modules"], call) for call in facts["calls"]]
    assert (call["Collective name"], call["In msg nelems"]) == ("send", 150)


@pytest.mark.parametrize("inside", [True, False])
def test_a_call_that_carries_another_is_not_counted_again(monkeypatch: pytest.MonkeyPatch, inside: bool) -> None:
    module = types.ModuleType("framework.pynccl_wrapper")
    module.NCCLLibrary = type("NCCLLibrary", (NCCLLibrary,), {})  # type: ignore[attr-defined]
    watch_library(module)
    fresh = call_notes.Calls()
    counted: list[None] = []
    fresh.before, fresh.unasked = lambda: counted.append(None), 0
    fresh.inside.call = inside
    monkeypatch.setattr("traceana_capture.agent.pynccl.CALLS", fresh)
    module.NCCLLibrary().ncclAllReduce(0, 0, 100, HALF, 0, 7)
    assert len(counted) == (not inside)


def test_wrong_arguments_give_the_librarys_own_error(recorded: list[dict[str, Any]]) -> None:
    module = types.ModuleType("framework.pynccl_wrapper")
    module.NCCLLibrary = type("NCCLLibrary", (NCCLLibrary,), {})  # type: ignore[attr-defined]
    watch_library(module)
    with pytest.raises(TypeError, match="missing 3 required positional arguments"):
        module.NCCLLibrary().ncclAllGather(0, 0)


def test_keys_go_onto_the_kernels_that_the_call_launched(recorded: list[dict[str, Any]]) -> None:
    def launch(ts: float, correlation: int, tid: int = 1) -> dict[str, Any]:
        return {
            "cat": "cuda_runtime",
            "name": "l",
            "tid": tid,
            "ts": ts,
            "dur": 1,
            "args": {"correlation": correlation},
        }

    def kernel(name: str, correlation: int) -> dict[str, Any]:
        return {"cat": "kernel", "name": name, "tid": 7, "ts": 50, "dur": 5, "args": {"correlation": correlation}}

    span = {"cat": "user_annotation", "name": "traceana::0", "tid": 1, "ts": 10, "dur": 10}
    mine, other, elsewhere = (
        kernel("ncclDevKernel_AllReduce", 1),
        kernel("gemm", 2),
        kernel("ncclDevKernel_AllReduce", 3),
    )
    events = [span, launch(12, 1), launch(14, 2), launch(13, 3, tid=2), mine, other, elsewhere]
    annotate({"traceEvents": events}, recorded)
    assert mine["args"]["In msg nelems"] == 100
    assert [e["name"] for e in events if "Collective name" in e.get("args", {})] == ["ncclDevKernel_AllReduce"]
    assert "Collective name" not in elsewhere["args"]
    assert span["name"] == "pynccl:allreduce"


def test_a_trace_takes_the_place_of_no_other_but_its_own(tmp_path: Path) -> None:
    target = tmp_path / "rank0.json.gz"
    for _ in range(2):  # the second time as a rescue does
        write({"traceEvents": [1]}, tmp_path / "partial", target)
    first = target.read_bytes()
    with pytest.raises(OSError, match="give each its own --label"):
        write({"traceEvents": [2]}, tmp_path / "partial", target)
    assert target.read_bytes() == first
