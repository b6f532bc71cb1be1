"""--backend: what the adapter does to a stand-in of sglang's modules, where c10d's calls go, and what is reported."""

import datetime
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from traceana_capture.agent import choices, paired, routes
from traceana_capture.agent.adapters import sglang_diffusion
from traceana_capture.agent.call_notes import CALLS
from traceana_capture.launcher import backends
from traceana_capture.launcher import record as launcher_record
from traceana_capture.launcher.options import pairings

from traceana.errors import TraceanaError
from traceana.kernels import KERNELS


class Communicator:
    """Records what it was asked for, in the order of sglang's PyNcclCommunicator's arguments."""

    disabled = False

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def all_reduce(self, tensor: Any, op: Any, stream: Any) -> Any:
        self.calls.append(("all_reduce", op, stream))
        return "reduced"

    def broadcast(self, tensor: Any, src: int, stream: Any) -> None:
        self.calls.append(("broadcast", src, stream))

    def all_to_all_single(self, output: Any, input_: Any, received: Any, sent: Any, stream: Any) -> None:
        self.calls.append(("all_to_all_single", output, input_, received, sent, stream))


class CudaTensor(torch.Tensor):
    """A tensor that says it is on a GPU."""

    value: Any = None

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda")

    def copy_(self, value: Any) -> None:  # type: ignore[override]
        self.value = value


def on_gpu(tensor: torch.Tensor) -> Any:
    return tensor.as_subclass(CudaTensor)


class GroupCoordinator:
    """The constructor of sglang 0.5.23's class as far as the adapter uses it."""

    def __init__(
        self, ranks: list[int], use_device_communicator: bool = True, use_srt_custom_allreduce: bool = False
    ) -> None:
        self.ranks, self.world_size, self.device = ranks, len(ranks), "cuda:0"
        self.shm_handle: int | None = 3
        self.cpu_group = "host group"
        self.custom = use_srt_custom_allreduce
        self.device_communicator = None
        if use_device_communicator:
            self.device_communicator = types.SimpleNamespace(pynccl_comm=Communicator())


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "0.5.23")
    monkeypatch.setattr(routes, "ADAPTERS", [])
    monkeypatch.setattr(routes, "COMMUNICATORS", {})
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: "stream")
    monkeypatch.setattr(dist, "get_process_group_ranks", lambda _: [0, 1])
    found: Any = types.ModuleType(sglang_diffusion.COORDINATOR)
    found.GroupCoordinator = type("GroupCoordinator", (GroupCoordinator,), {"__init__": GroupCoordinator.__init__})
    return found


def test_torch_turns_the_other_ways_off(module: Any) -> None:
    sglang_diffusion.choose_backend(module, "torch")
    coordinator = module.GroupCoordinator([0, 1], use_srt_custom_allreduce=True)
    assert (coordinator.custom, coordinator.shm_handle) == (False, None)
    assert routes.COMMUNICATORS == {}
    assert routes.ADAPTERS == ["sglang diffusion 0.5.23"]
    assert backends.environment("torch")["SGLANG_DIFFUSION_IPC_A2A"] == "0"


@pytest.mark.parametrize(("backend", "custom"), [("custom", True), ("ipc", False)])
def test_sglangs_own_ways_turn_each_other_off(module: Any, backend: str, custom: bool) -> None:
    sglang_diffusion.choose_backend(module, backend)
    assert module.GroupCoordinator([0, 1], use_srt_custom_allreduce=True).custom is custom
    assert module.GroupCoordinator([0, 1]).custom is False
    assert routes.COMMUNICATORS == {}
    assert {backends.environment(backend)[name] for name in (choices.IPC_TWO, choices.IPC_MANY)} == {
        "1" if backend == "ipc" else "0"
    }


def test_a_way_that_sglangs_diffusion_runtime_has_not_is_refused(module: Any) -> None:
    sglang_diffusion.choose_backend(module, "symm_mem")
    with pytest.raises(RuntimeError, match=r"--backend symm_mem cannot be done: sglang diffusion .* has no such way"):
        module.GroupCoordinator([0, 1])
    assert routes.ADAPTERS == []


def test_pynccl_takes_cuda_tensors_of_the_same_ranks(module: Any) -> None:
    sglang_diffusion.choose_backend(module, "pynccl")
    coordinator = module.GroupCoordinator([0, 1], use_device_communicator=False)
    tensor, other = on_gpu(torch.zeros(4)), on_gpu(torch.zeros(4))
    assert routes.send("all_reduce", {"tensor": tensor, "op": dist.ReduceOp.MAX})
    assert tensor.value == "reduced"
    assert routes.send("broadcast", {"tensor": tensor, "src": 1})
    assert routes.send("all_to_all_single", {"output": other, "input": tensor, "input_split_sizes": [1, 2]})
    assert coordinator.device_communicator.pynccl_comm.calls == [
        ("all_reduce", dist.ReduceOp.MAX, "stream"),
        ("broadcast", 1, "stream"),
        ("all_to_all_single", other, tensor, None, [1, 2], "stream"),
    ]


LEFT_TO_TORCH: dict[str, tuple[str, dict[str, Any]]] = {
    "no route": ("gather", {"tensor": on_gpu(torch.zeros(4))}),
    "on the host": ("all_reduce", {"tensor": torch.zeros(4)}),
    "a type that PyNccl does not know": ("broadcast", {"tensor": on_gpu(torch.zeros(4, dtype=torch.bool)), "src": 0}),
    "a reduction that PyNccl does not know": (
        "all_reduce",
        {"tensor": on_gpu(torch.zeros(4)), "op": dist.ReduceOp.BAND},
    ),
    "gaps in memory": ("all_reduce", {"tensor": on_gpu(torch.zeros(4, 4)[:, :2])}),
    "nothing to send": ("all_reduce", {"tensor": on_gpu(torch.zeros(0))}),
    "too small for what comes": (
        "all_gather_into_tensor",
        {"output_tensor": on_gpu(torch.zeros(4)), "input_tensor": on_gpu(torch.zeros(4))},
    ),
    "two types": (
        "all_gather_into_tensor",
        {"output_tensor": on_gpu(torch.zeros(8)), "input_tensor": on_gpu(torch.zeros(4, dtype=torch.int8))},
    ),
}


@pytest.mark.parametrize(("function", "values"), LEFT_TO_TORCH.values(), ids=LEFT_TO_TORCH)
def test_what_pynccl_cannot_do_is_left_to_torch(module: Any, function: str, values: dict[str, Any]) -> None:
    routes.COMMUNICATORS[0, 1] = Communicator()
    assert not routes.send(function, values)
    assert routes.COMMUNICATORS[0, 1].calls == []


def test_a_disabled_communicator_gets_no_calls(module: Any) -> None:
    routes.COMMUNICATORS[0, 1] = communicator = Communicator()
    communicator.disabled = True
    tensor = on_gpu(torch.zeros(4))
    assert not routes.send("all_reduce", {"tensor": tensor})


def test_pairs_get_the_communicator_and_the_ranks_group_on_the_host(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = paired.Pairs()
    fresh.choose({"all_to_all": ("torch", "pynccl")})
    monkeypatch.setattr(sglang_diffusion, "PAIRS", fresh)
    sglang_diffusion.choose_backend(module, "torch")
    coordinator = module.GroupCoordinator([0, 1], use_device_communicator=False)
    peer = fresh.peers[0, 1]
    assert (set(peer.carriers), peer.host_group) == ({"torch", "pynccl"}, "host group")
    received = on_gpu(torch.zeros(4))
    exchange = types.SimpleNamespace(__name__="all_to_all_single")
    values = {"output": received, "input": on_gpu(torch.zeros(4))}
    assert peer.carriers["pynccl"].issue(exchange, values, "output") is received  # type: ignore[arg-type]
    assert [name for name, *_ in coordinator.device_communicator.pynccl_comm.calls] == ["all_to_all_single"]
    assert routes.COMMUNICATORS == {}


def test_what_a_group_sends_while_it_is_made_is_no_call_of_the_program(module: Any) -> None:
    seen: list[bool] = []

    class Sending(module.GroupCoordinator):  # type: ignore[misc]
        def __init__(
            self, ranks: list[int], use_device_communicator: bool = True, use_srt_custom_allreduce: bool = False
        ) -> None:
            super().__init__(ranks, use_device_communicator, use_srt_custom_allreduce)
            seen.append(CALLS.making.call)

    module.GroupCoordinator = Sending
    sglang_diffusion.choose_backend(module, "torch")
    module.GroupCoordinator([0, 1])
    assert (seen, CALLS.making.call) == ([True], False)


@pytest.mark.parametrize(
    ("ended", "message"),
    [("", "the window saw no two such calls that both backends can carry"), ("Full('x')", "ended with Full('x')")],
)
def test_a_run_without_pairs_says_why(ended: str, message: str) -> None:
    trace = types.SimpleNamespace(adapters=("a",), backends=("torch.distributed",), pairs=0, ended=ended)
    options: Any = types.SimpleNamespace(backend="torch", paired=pairings(["all_reduce"]))
    found = launcher_record._backend(options, types.SimpleNamespace(traces=[trace]))  # type: ignore[arg-type]
    assert found.mismatch == f"--paired all_reduce: {message}"


def test_asis_changes_nothing(module: Any) -> None:
    before = module.GroupCoordinator.__init__
    sglang_diffusion.wrap(module, None, "asis")  # type: ignore[arg-type]
    assert module.GroupCoordinator.__init__ is before
    assert routes.ADAPTERS == []


def test_a_version_that_was_never_tried_is_taken_with_a_note_where_it_has_all(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "0.6.0")
    sglang_diffusion.choose_backend(module, "torch")
    assert module.GroupCoordinator([0, 1]).shm_handle is None
    assert routes.ADAPTERS == ["sglang diffusion 0.6.0 (not tried; has all that is needed)"]


class Renamed(GroupCoordinator):
    """A version whose coordinators have no `ranks`."""

    def __init__(self, use_device_communicator: bool = True, use_srt_custom_allreduce: bool = False) -> None:
        super().__init__([0, 1], use_device_communicator, use_srt_custom_allreduce)
        del self.ranks


def test_a_coordinator_that_lacks_what_is_needed_is_refused(module: Any) -> None:
    module.GroupCoordinator = type("GroupCoordinator", (Renamed,), {})
    sglang_diffusion.choose_backend(module, "pynccl")
    with pytest.raises(RuntimeError, match=r"GroupCoordinator\.ranks is missing"):
        module.GroupCoordinator()


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        (None, "group_coordinator.GroupCoordinator is missing"),
        (type("GroupCoordinator", (), {}), "use_device_communicator, use_srt_custom_allreduce is missing"),
    ],
)
def test_what_is_not_known_is_refused_by_name(module: Any, attribute: Any, message: str) -> None:
    module.GroupCoordinator = attribute
    with pytest.raises(RuntimeError, match=message):
        sglang_diffusion.choose_backend(module, "torch")


@pytest.mark.parametrize(
    ("device", "communicator", "message"),
    [
        ("cpu", types.SimpleNamespace(disabled=False), "this rank's device is cpu"),
        ("cuda:0", None, "pynccl_comm is missing"),
        ("cuda:0", types.SimpleNamespace(disabled=True), "pynccl_comm is disabled"),
    ],
)
def test_a_communicator_that_cannot_work_is_an_error(device: str, communicator: Any, message: str) -> None:
    found = types.SimpleNamespace(pynccl_comm=communicator)
    with pytest.raises(RuntimeError, match=message):
        sglang_diffusion.communicator(types.SimpleNamespace(device=device, device_communicator=found))


def test_pynccl_without_a_gpu_is_refused_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "GPU_DEVICES", ())
    with pytest.raises(TraceanaError, match="needs a GPU"):
        backends.check_machine("pynccl", ())
    for backend in ("custom", "ipc", "symm_mem"):
        with pytest.raises(TraceanaError, match=f"--backend {backend} needs a GPU"):
            backends.check_machine(backend, ())
    with pytest.raises(TraceanaError, match="--paired needs a GPU"):
        backends.check_machine("torch", pairings(["all_reduce"]))


@pytest.mark.parametrize("asked", ["asis", "custom", "ipc", "symm_mem"])
def test_pairs_need_one_of_the_two_as_the_programs_own(asked: str) -> None:
    with pytest.raises(TraceanaError, match=f"not with {asked}; add --backend torch or --backend pynccl"):
        backends.check_machine(asked, pairings(["all_reduce"]))


INSTALLED: dict[str, tuple[dict[str, str], str]] = {
    "neither": ({}, "the backend custom needs sglang or vllm"),
    "too old": ({"vllm/distributed/parallel_state.py": "pass"}, "no set_custom_all_reduce in vllm.distributed"),
    "only one that has another way": (
        {"sglang/multimodal_gen/envs.py": choices.IPC_TWO},
        "no use_srt_custom_allreduce in sglang.multimodal_gen.runtime.distributed.group_coordinator",
    ),
}


@pytest.mark.parametrize(("files", "message"), INSTALLED.values(), ids=INSTALLED)
def test_a_framework_that_cannot_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(TraceanaError, match=message):
        backends.check_program("custom", [sys.executable, "-c", "pass"])


def test_a_framework_that_can_is_taken_as_is_a_command_that_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    envs = tmp_path / "sglang" / "multimodal_gen" / "envs.py"
    envs.parent.mkdir(parents=True)
    envs.write_text(f"{choices.IPC_TWO} = True")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    backends.check_program("ipc", [sys.executable, "-c", "pass"])
    backends.check_program("custom", ["/bin/sh", "-c", "true"])


def test_what_a_backend_is_called_is_what_its_kernels_are() -> None:
    issuers = {pattern.backend for pattern in KERNELS}
    assert {choice.title for choice in choices.CHOICES.values() if not choice.every_call} <= issuers


def test_pairs_need_all_ranks() -> None:
    with pytest.raises(TraceanaError, match="--paired needs all ranks"):
        backends.check_machine("torch", pairings(["all_to_all"]), [0])


def kernel(name: str, **args: object) -> dict[str, Any]:
    return {"cat": "kernel", "name": name, "args": args}


# What sglang's PyNccl sends when it is made, which it is with the group, whatever the backend.
TRIED = kernel("ncclDevKernel", **{"Collective name": "x", "traceana backend": "pynccl", choices.MAKING: True})


@pytest.mark.parametrize(
    ("asked", "adapters", "events", "message"),
    [
        ("asis", [], [kernel("spin_wait_kernel")], None),
        ("torch", ["a"], [kernel("ncclDevKernel_AllReduce", **{"Collective name": "allreduce"})], None),
        ("pynccl", ["a"], [kernel("n", **{"Collective name": "x", "traceana backend": "pynccl"})], None),
        ("pynccl", ["a"], [kernel("nccl", **{"Collective name": "allreduce"})], "the traces show torch.distributed"),
        ("torch", ["a"], [kernel("spin_wait_kernel")], "the traces show CUDA IPC"),
        ("torch", ["a"], [TRIED, kernel("ncclDevKernel", **{"Collective name": "allreduce"})], None),
        ("custom", ["a"], [TRIED], "show no collective"),
        ("torch", ["a"], [kernel("gemm")], "show no collective"),
        ("ipc", ["a"], [kernel("spin_wait_kernel"), kernel("ncclDevKernel_AllGather")], None),
        ("ipc", ["a"], [kernel("ncclDevKernel_SendRecv", **{"Collective name": "all_to_all"})], "carried no call"),
        ("custom", ["a"], [kernel("all_reduce_1shot_push_kernel")], None),
        ("symm_mem", ["a"], [kernel("cross_device_reduce_1stage")], "the traces show custom all-reduce"),
        ("symm_mem", ["a"], [kernel("gemm")], "show no collective"),
        ("custom", [], [kernel("cross_device_reduce_1stage")], "no framework that we have an adapter for"),
        ("torch", [], [kernel("gemm")], "no framework that we have an adapter for"),
    ],
)
def test_a_mismatch_is_told(asked: str, adapters: list[str], events: list[Any], message: str | None) -> None:
    told = backends.mismatch(asked, adapters, backends.seen(events))
    assert (told is None) if message is None else (told is not None and message in told)


def test_a_call_that_pynccl_carried_is_a_work_of_c10ds() -> None:
    """Programs ask of it what they ask of NCCL's, `isinstance` too."""
    received = torch.ones(3)
    work = routes.Issued([received])
    assert isinstance(work, dist.Work)
    assert work.wait() is work.wait(datetime.timedelta(seconds=1)) is work.is_completed() is work.is_success() is True
    assert work.exception() is None
    assert work.result()[0] is received
    work.synchronize()
    work.block_current_stream()
    assert work.get_future().then(lambda future: future.value()[0].sum()).wait() == 3
    assert work.get_future_result().wait() == 0
