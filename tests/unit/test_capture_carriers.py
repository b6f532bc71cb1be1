"""Pairs of backends: which two can be asked for, and what carries a copy of a call."""

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from traceana_capture.agent import carriers, gpu_carriers, paired, routes
from traceana_capture.agent.adapters import sglang_diffusion
from traceana_capture.launcher import backends
from traceana_capture.launcher.options import pairings

from traceana.errors import TraceanaError


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("all_reduce", ("torch", "pynccl")),
        ("all_to_all:ipc,torch", ("torch", "ipc")),
        ("all_reduce:torch,custom", ("torch", "custom")),
        ("all_reduce:torch,symm_mem", ("torch", "symm_mem")),
        ("all_reduce:custom,pynccl", ("pynccl", "custom")),
        ("all_reduce:pynccl,symm_mem", ("pynccl", "symm_mem")),
        ("all_reduce:symm_mem,custom", ("custom", "symm_mem")),
        ("all_to_all:pynccl,ipc", ("pynccl", "ipc")),
    ],
)
def test_any_two_backends_that_carry_an_operation_are_paired_in_one_order(text: str, pair: tuple[str, str]) -> None:
    (found,) = pairings([text])
    assert (found.operation, found.backends) == (text.partition(":")[0], pair)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["all_to_all:custom,ipc"], "custom carries all_reduce alone, so no all_to_all runs on both"),
        (["all_reduce:symm_mem,ipc"], "ipc carries all_to_all alone, so no all_reduce runs on both"),
        (["all_reduce:asis,torch"], "asis is the framework's choice among the others"),
        (["all_reduce:torch,torch"], "must name two of torch, pynccl, custom, ipc, symm_mem"),
        (["all_reduce:torch,mpi"], "must name two of torch"),
        (["gather"], "must be all_reduce, broadcast"),
        (["all_reduce", "all_reduce:torch,custom"], "all_reduce is asked for twice"),
    ],
)
def test_two_that_cannot_alternate_are_refused_with_the_reason(texts: list[str], message: str) -> None:
    with pytest.raises(TraceanaError, match=message):
        pairings(texts)


def test_a_sglang_that_lacks_a_pairs_way_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command, asked = [sys.executable, "-c", "pass"], pairings(["all_to_all:torch,ipc"])
    with pytest.raises(TraceanaError, match="--paired needs sglang"):
        backends.check_program("torch", command, asked)
    coordinator = tmp_path.joinpath(*sglang_diffusion.COORDINATOR.split(".")).with_suffix(".py")
    coordinator.parent.mkdir(parents=True)
    coordinator.write_text("class GroupCoordinator: ...")
    with pytest.raises(TraceanaError, match="cannot pair calls on ipc: no IpcA2AMultiState in"):
        backends.check_program("torch", command, asked)
    backends.check_program("torch", command, pairings(["all_reduce:torch,symm_mem"]))


class Reducer:
    """Sglang's custom all-reduce as far as pairs use it."""

    disabled = False
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.asked: list[int] = []

    def should_custom_ar(self, tensor: torch.Tensor) -> bool:
        self.asked.append(tensor.numel())
        return tensor.numel() <= 1 << 12

    def custom_all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor + 1

    def close(self) -> None:
        raise AssertionError("it waits there for the other ranks")

    def __del__(self) -> None:
        self.close()


class GroupCoordinator:
    """Sglang's, as far as it makes a custom all-reduce."""

    srt_custom_allreduce: Reducer | None = None
    device_communicator = None
    device = "cpu"

    def __init__(
        self, ranks: list[int], use_device_communicator: bool = True, use_srt_custom_allreduce: bool = False
    ) -> None:
        self.ranks, self.world_size, self.custom = ranks, len(ranks), use_srt_custom_allreduce
        self.cpu_group, self.met_in = "host group", ""

    def _init_srt_custom_allreduce(self) -> None:
        self.met_in = self.cpu_group
        self.srt_custom_allreduce = Reducer()


class Full(GroupCoordinator):
    """Has no memory for it."""

    def _init_srt_custom_allreduce(self) -> None:
        raise MemoryError("no memory")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> paired.Pairs:
    """Pairs of torch and the custom all-reduce, of which this rank alone decides."""
    pairs = paired.Pairs()
    pairs.choose({"all_reduce": ("torch", "custom")})
    monkeypatch.setattr(sglang_diffusion, "PAIRS", pairs)
    monkeypatch.setattr(sglang_diffusion, "sharing_group", lambda _: "bounded group")
    monkeypatch.setattr(sglang_diffusion, "together", lambda step, _: step())
    monkeypatch.setattr(routes, "ADAPTERS", [])
    monkeypatch.setattr("importlib.metadata.version", lambda _: "0.5.23")
    return pairs


def chosen(kind: type[GroupCoordinator]) -> type[GroupCoordinator]:
    """The class in a module whose coordinators lend theirs to pairs."""
    module: Any = types.ModuleType(sglang_diffusion.COORDINATOR)
    module.GroupCoordinator = type("GroupCoordinator", (kind,), {"__init__": kind.__init__})
    sglang_diffusion.choose_backend(module, "torch")
    return module.GroupCoordinator  # type: ignore[no-any-return]


def test_a_group_that_sglang_reduces_lends_its_custom_all_reduce_to_pairs_alone(fresh: paired.Pairs) -> None:
    kind = chosen(GroupCoordinator)
    made = kind([0, 1], use_srt_custom_allreduce=True)
    kind([0, 1])
    assert (made.custom, made.srt_custom_allreduce) == (False, None)
    assert (made.met_in, made.cpu_group) == ("bounded group", "host group")
    custom = fresh.peers[0, 1].carriers["custom"]
    assert custom._communicator.asked == [1 << 12], "so that it is compiled"  # type: ignore[attr-defined]
    assert custom.issue(lambda: None, {"tensor": torch.zeros(2)}, "tensor").tolist() == [1, 1]


def test_a_rank_that_has_no_memory_for_it_pairs_nothing_and_the_program_goes_on(
    fresh: paired.Pairs, capsys: pytest.CaptureFixture[str]
) -> None:
    made = chosen(Full)([0, 1], use_srt_custom_allreduce=True)
    assert (made.cpu_group, fresh.peers) == ("host group", {})
    assert capsys.readouterr().err == "traceana: --paired ended: MemoryError('no memory')\n"


def test_memory_that_is_not_there_is_found_out_before_the_ranks_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (3 << 20, 8 << 20))
    gpu_carriers.room_for(3 << 20, "cuda:0")
    with pytest.raises(MemoryError, match="3 MiB of the GPU's memory are free, and 4 are needed"):
        gpu_carriers.room_for(4 << 20, "cuda:0")


REFUSED_SUMS: dict[str, dict[str, Any]] = {
    "too large for its policy": {"tensor": torch.zeros(1 << 13)},
    "no sum": {"tensor": torch.zeros(8), "op": dist.ReduceOp.MAX},
    "of whole numbers, for which it has no kernel": {"tensor": torch.zeros(8, dtype=torch.int64)},
    "nothing": {"tensor": torch.zeros(0)},
}


@pytest.mark.parametrize("values", REFUSED_SUMS.values(), ids=REFUSED_SUMS)
def test_custom_takes_what_sglangs_own_policy_takes(values: dict[str, Any]) -> None:
    custom = gpu_carriers.Custom(Reducer())
    assert custom.carries("all_reduce", {"tensor": torch.zeros(8)})
    assert not custom.carries("all_reduce", values)


REFUSED_BY_SYMMETRIC: dict[str, dict[str, Any]] = {
    "a type that its kernel has not": {"tensor": torch.zeros(8, dtype=torch.float64)},
    "no multiple of 16 bytes": {"tensor": torch.zeros(3)},
    "more than the buffer": {"tensor": torch.empty(gpu_carriers.SYMMETRIC_BYTES, dtype=torch.bfloat16)},
    "gaps in memory": {"tensor": torch.zeros(8, 8)[:, :4]},
    "no sum": {"tensor": torch.zeros(8), "op": dist.ReduceOp.MAX},
}


@pytest.mark.parametrize("values", REFUSED_BY_SYMMETRIC.values(), ids=REFUSED_BY_SYMMETRIC)
def test_symmetric_memory_takes_what_fits_its_buffer_and_its_kernel(values: dict[str, Any]) -> None:
    symmetric = gpu_carriers.Symmetric("group", 2, "cpu")
    assert symmetric.carries("all_reduce", {"tensor": torch.zeros(8)})
    assert not symmetric.carries("all_reduce", values)


REFUSED_BY_IPC: dict[str, dict[str, Any]] = {
    "parts of their own sizes": {
        "output": torch.zeros(8),
        "input": torch.zeros(8),
        "output_split_sizes": None,
        "input_split_sizes": [2, 6],
    },
    "no equal parts": {"output": torch.zeros(5), "input": torch.zeros(5)},
    "more than comes": {"output": torch.zeros(6), "input": torch.zeros(8)},
    "gaps in memory": {"output": torch.zeros(32), "input": torch.zeros(8, 8)[:, :4]},
}


class State:
    """Sglang's IpcA2AMultiState as far as pairs use it, which keeps buffers of two sizes."""

    def __init__(self) -> None:
        self.inited, self.staging, self.group = False, dict[tuple[int, torch.dtype], list[torch.Tensor]](), ""
        self.made: list[int] = []

    def init(self, group: str) -> None:
        self.inited, self.group = True, group

    def get_staging(self, chunk: int, dtype: torch.dtype) -> list[torch.Tensor]:
        if (chunk, dtype) not in self.staging:
            self.made.append(chunk)
            for key in list(self.staging)[:-1]:
                del self.staging[key]
            self.staging[chunk, dtype] = []
        return self.staging[chunk, dtype]

    def exchange(self, send: torch.Tensor) -> torch.Tensor:
        self.get_staging(send[0].numel(), send.dtype)
        return send + 1


@pytest.fixture
def ipc(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sglang's module, whose own state is the program's."""
    module: Any = types.ModuleType(gpu_carriers.IPC)
    module.IpcA2AMultiState, module.IPC_A2A_MULTI, module.allocated = State, State(), []
    module.load_ipc_a2a_sync = lambda: None

    def zeros(*shape: int, dtype: torch.dtype) -> torch.Tensor:
        module.allocated.append(shape)
        return torch.zeros(shape, dtype=dtype)

    module.ipc_shareable_zeros = zeros
    monkeypatch.setitem(sys.modules, gpu_carriers.IPC, module)
    # The packages above it need not be there.
    monkeypatch.setattr("importlib.import_module", lambda name: sys.modules[name])
    return module


@pytest.mark.parametrize("values", REFUSED_BY_IPC.values(), ids=REFUSED_BY_IPC)
@pytest.mark.usefixtures("ipc")
def test_cuda_ipc_takes_equal_parts(values: dict[str, Any]) -> None:
    carrier = gpu_carriers.Ipc(2, "cpu", "group")
    assert carrier.carries("all_to_all_single", {"output": torch.zeros(8), "input": torch.zeros(8)})
    assert not carrier.carries("all_to_all_single", values)


@pytest.mark.usefixtures("ipc")
def test_what_is_on_the_host_is_carried_by_torch_alone() -> None:
    reducer, device = Reducer(), torch.device("cuda:1")
    reducer.device = device
    summed = {"tensor": torch.zeros(8)}
    assert not gpu_carriers.Custom(reducer).carries("all_reduce", summed)
    assert reducer.asked == [], "sglang's policy does not ask where a tensor is"
    assert not gpu_carriers.Symmetric("group", 2, device).carries("all_reduce", summed)
    assert not carriers.PyNccl(types.SimpleNamespace(device=device)).carries("all_reduce", summed)
    exchanged = {"output": torch.zeros(8), "input": torch.zeros(8)}
    assert not gpu_carriers.Ipc(2, device, "group").carries("all_to_all_single", exchanged)
    assert carriers.Torch().carries("all_reduce", summed)


@pytest.mark.parametrize(("device", "wanted", "same"), [("cuda:1", "cuda:1", True), ("cuda:0", "cuda:1", False)])
def test_a_tensor_of_another_gpu_is_not_the_groups(device: str, wanted: str, same: bool) -> None:
    tensor: Any = types.SimpleNamespace(device=torch.device(device))
    assert carriers.lie_on([tensor], wanted) is same
    assert carriers.lie_on([tensor], "cuda")


def test_cuda_ipc_has_a_state_of_its_own_whose_buffers_are_there_before_a_call(ipc: Any) -> None:
    carrier = gpu_carriers.Ipc(2, "cpu", "bounded group")
    small, large = ({"output": torch.zeros(size), "input": torch.zeros(size)} for size in (8, 16))
    carrier.allocate(small)
    assert (carrier.is_ready(small), ipc.allocated) == (False, [(2, 2, 4), (gpu_carriers.SMALL_BYTES,)])
    carrier.share(small)
    state: Any = carrier._state
    assert (state.group, state.made, carrier._reserved) == ("bounded group", [4], [])
    assert carrier.issue(lambda: None, small, "output").tolist() == [1.0] * 8
    assert state.made == [4], "a timed call makes none"
    for values in (large, {"output": torch.zeros(32), "input": torch.zeros(32)}):
        carrier.allocate(values)
        carrier.share(values)
    assert not carrier.is_ready(small), "sglang keeps those of few sizes"
    program: State = ipc.IPC_A2A_MULTI
    assert (program.inited, program.staging, program.made) == (False, {}, [])


@pytest.mark.parametrize(
    ("ranks", "multicast", "kernel"),
    [(2, 7, "two_shot_all_reduce_"), (4, 0, "two_shot_all_reduce_"), (4, 7, "multimem_all_reduce_")],
)
def test_symmetric_memory_reduces_as_sglang_does_in_a_buffer_that_each_rank_took_before(
    monkeypatch: pytest.MonkeyPatch, ranks: int, multicast: int, kernel: str
) -> None:
    did: list[str] = []

    def doing(name: str, result: Callable[..., Any]) -> Callable[..., Any]:
        def do(*args: Any, **kwargs: Any) -> Any:
            did.append(name)
            return result(*args, **kwargs)

        return do

    module: Any = types.ModuleType("symmetric")
    module.empty = doing("empty", torch.zeros)
    module.rendezvous = doing("meet", lambda *_: types.SimpleNamespace(multicast_ptr=multicast))
    monkeypatch.setitem(sys.modules, "torch.distributed._symmetric_memory", module)
    monkeypatch.setattr("importlib.import_module", lambda name: sys.modules[name])
    monkeypatch.setattr(gpu_carriers, "SYMMETRIC_BYTES", 64)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    names = ("two_shot_all_reduce_", "multimem_all_reduce_")
    kernels = {name: doing(name, lambda shared, *_: shared.add_(1)) for name in names}
    monkeypatch.setattr(torch.ops, "symm_mem", types.SimpleNamespace(**kernels))
    symmetric, values = gpu_carriers.Symmetric("group", ranks, "cpu"), {"tensor": torch.zeros(4)}
    symmetric.allocate(values)
    assert (did, symmetric.is_ready(values)) == (["empty"], False)
    symmetric.share(values)
    assert symmetric.issue(lambda: None, values, "tensor").tolist() == [1.0] * 4
    assert (did, symmetric.is_ready(values)) == (["empty", "meet", kernel], True)


def test_another_carrier_of_the_same_ranks_prepares_anew() -> None:
    pairs = paired.Pairs()
    pairs._known = {((0, 1), "all_reduce", torch.float32, 4), ((0,), "all_reduce", torch.float32, 4)}
    pairs.add((0, 1), {}, None)
    assert pairs._known == {((0,), "all_reduce", torch.float32, 4)}
