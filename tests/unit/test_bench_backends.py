"""Backends of frameworks, on stand-ins for what needs GPUs: what is called with what, and what is refused."""

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch

from traceana.bench.backends import Unavailable, frameworks
from traceana.bench.backends.custom import SglangCustom, VllmCustom
from traceana.bench.backends.flashinfer import Flashinfer
from traceana.bench.backends.pynccl import OfFramework, PyNccl
from traceana.bench.backends.sglang import Sglang, SglangIpc
from traceana.bench.backends.symmetric import Multimem
from traceana.bench.buffers import Buffers
from traceana.bench.world import World


class OnGpu(World):
    """Rank 0 of two, whose other rank agrees with it."""

    def anywhere(self, wrong: bool) -> bool:
        return wrong


GPU = OnGpu(rank=0, size=2, device=torch.device("cuda", 0))
CPU = OnGpu(rank=0, size=2, device=torch.device("cpu"))


@contextlib.contextmanager
def modules(**contents: dict[str, Any]) -> Iterator[None]:
    """Modules with these contents by their names, in which __ stands for a dot, and torch without GPUs."""
    made: dict[str, Any] = {}
    for name, content in contents.items():
        parts = name.split("__")
        for depth in range(1, len(parts) + 1):
            made.setdefault(".".join(parts[:depth]), ModuleType(".".join(parts[:depth])))
        vars(made[".".join(parts)]).update(content)
    with (
        mock.patch.dict(sys.modules, made),
        mock.patch.object(frameworks, "find_spec", sys.modules.get),
        mock.patch("torch.distributed.new_group", return_value="gloo group"),
        mock.patch("torch.cuda.current_stream", return_value="stream"),
    ):
        yield


def buffers(op: str, source: int = 4, target: int = 4) -> Buffers:
    return Buffers(op=op, source=torch.arange(source).float(), target=torch.zeros(target))


class OutOfPlace:
    """As sglang's diffusion and vLLM have it; adds up two ranks that hold the same."""

    def __init__(self, group: object = None, device: object = None) -> None:
        self.disabled, self.said = True, [(group, device)]

    def all_reduce(self, in_tensor: torch.Tensor, op: object = None, stream: object = None) -> torch.Tensor:
        self.said.append((self.disabled, stream))
        return 2 * in_tensor

    def all_gather(self, output_tensor: torch.Tensor, input_tensor: torch.Tensor, stream: object = None) -> None:
        output_tensor.copy_(torch.cat([input_tensor, input_tensor]))


class InPlace(OutOfPlace):
    """As sglang's runtime for language models has it."""

    def all_reduce(self, tensor: torch.Tensor, op: object = None, stream: object = None) -> None:  # type: ignore[override]
        tensor.mul_(2)


@pytest.mark.parametrize("kind", [OutOfPlace, InPlace])
def test_pynccl_s_result_reaches_the_target_whatever_its_class(kind: type[OutOfPlace]) -> None:
    one = buffers("all_reduce")
    with modules():
        call = OfFramework(GPU, kind(), "stand-in").call(one)
        assert not isinstance(call, str)
        call.load()
        call.run()
        call.unload()
    assert one.target.tolist() == [0, 2, 4, 6]
    assert call.in_place is (kind is InPlace)


def test_pynccl_takes_sglang_s_class_and_names_what_it_has_not() -> None:
    name = "sglang__multimodal_gen__runtime__distributed__device_communicators__pynccl"
    with modules(**{name: {"PyNcclCommunicator": OutOfPlace}}):
        backend = PyNccl(GPU)
        assert backend.detail == "PyNcclCommunicator of sglang of unknown version"
        one = buffers("all_gather", target=8)
        call = backend.call(one)
        assert not isinstance(call, str)
        call.run()
        assert one.target.tolist() == [0, 1, 2, 3] * 2
        assert backend.call(buffers("reduce")) == f"{backend.detail} has no reduce"
        assert "has no all_to_all" in str(backend.call(buffers("all_to_all")))
        assert PyNccl(GPU, "ring/ll").name == "pynccl:ring/ll"
        with pytest.raises(Unavailable, match="name an algorithm and a protocol"):
            PyNccl(GPU, "ring")


class CustomAllReduce:
    """Takes up to 16 bytes."""

    disabled = False

    def __init__(self, group: object, device: object) -> None:
        self.capture = contextlib.nullcontext

    def should_custom_ar(self, inp: torch.Tensor) -> bool:
        return inp.nbytes <= 16

    def custom_all_reduce(self, inp: torch.Tensor) -> torch.Tensor:
        return 2 * inp


CUSTOM = "sglang__srt__distributed__device_communicators__custom_all_reduce_v2"


def test_custom_all_reduce_leaves_what_it_does_not_take() -> None:
    with modules(**{CUSTOM: {"CustomAllReduceV2": CustomAllReduce}}):
        backend = SglangCustom(GPU)
        one = buffers("all_reduce")
        call = backend.call(one)
        assert not isinstance(call, str)
        call.run()
        call.unload()
        assert one.target.tolist() == [0, 2, 4, 6]
        assert "leaves larger messages" in str(backend.call(buffers("all_reduce", 8, 8)))
        assert backend.call(buffers("all_gather")) == "it is an all-reduce"


def test_a_class_that_disables_itself_cannot_be_measured() -> None:
    with (
        modules(**{CUSTOM: {"CustomAllReduceV2": type("Off", (CustomAllReduce,), {"disabled": True})}}),
        pytest.raises(Unavailable, match="takes it for impossible"),
    ):
        SglangCustom(GPU)


def test_vllm_without_its_compiled_kernels_is_named_so() -> None:
    off = type("Off", (CustomAllReduce,), {"disabled": True})
    name = "vllm__distributed__device_communicators__custom_all_reduce"
    with (
        modules(**{name: {"CustomAllreduce": off, "custom_ar": False}}),
        pytest.raises(Unavailable, match="vllm of unknown version has no compiled kernels here"),
    ):
        VllmCustom(GPU)


class IpcState:
    """Rank 0's end of an exchange with a peer that sends hundreds."""

    def init(self, group: object) -> None: ...

    def exchange(self, group: object, send: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        assert send.tolist() == [2, 3]
        return torch.tensor([100.0, 101.0])


IPC = "sglang__multimodal_gen__runtime__distributed__device_communicators__ipc_a2a"


def test_sglang_s_ipc_exchange_keeps_the_own_part_and_takes_the_peer_s() -> None:
    with modules(**{IPC: {"IpcA2AState": IpcState}}):
        one = buffers("all_to_all")
        call = SglangIpc(GPU).call(one)
        assert not isinstance(call, str)
        call.run()
        assert one.target.tolist() == [0, 1, 100, 101]
        with pytest.raises(Unavailable, match="two ranks, and there are 4"):
            SglangIpc(OnGpu(rank=0, size=4, device=GPU.device))
    failing = type("Failing", (IpcState,), {"init": lambda *_: (_ for _ in ()).throw(RuntimeError("no NVLink"))})
    with modules(**{IPC: {"IpcA2AState": failing}}), pytest.raises(Unavailable, match="no NVLink"):
        SglangIpc(GPU)


def test_ulysses_goes_through_sglang_s_own_function() -> None:
    said: list[object] = []
    groups = "sglang__multimodal_gen__runtime__distributed__parallel_state"
    usp = "sglang__multimodal_gen__runtime__layers__usp"
    own: dict[str, Any] = {"_usp_input_all_to_all": lambda x, head_dim: torch.full((1, 4, 1, 2), float(head_dim))}
    start: dict[str, Any] = {
        "maybe_init_distributed_environment_and_model_parallel": lambda *degrees: said.append(degrees)
    }
    with modules(**{groups: start, usp: own}):
        backend = Sglang(CPU)
        one = Buffers(op="all_to_all_4d", source=torch.zeros(1, 2, 2, 2), target=torch.zeros(1, 4, 1, 2))
        call = backend.call(one)
        assert not isinstance(call, str)
        call.run()
        call.unload()
        assert (said, set(one.target.flatten().tolist())) == ([(1, 2, 1, 2)], {2.0})
        assert "all_to_all_4d with --model" in str(backend.call(buffers("all_to_all")))


COMM = {
    "allreduce_fusion": lambda *, input, workspace, pattern, output: output.copy_(2 * input),
    "create_allreduce_fusion_workspace": lambda **sizes: sizes,
    "AllReduceFusionPattern": SimpleNamespace(kAllReduce=0),
}


def test_flashinfer_takes_whole_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _ in frameworks._NO_MULTICAST:
        monkeypatch.delenv(name, raising=False)
    with modules(flashinfer__comm=COMM), mock.patch("torch.distributed.group", SimpleNamespace(WORLD="world")):
        backend = Flashinfer(GPU)
        one = buffers("all_reduce", 8192, 8192)
        call = backend.call(one)
        assert not isinstance(call, str)
        call.run()
        call.unload()
        assert torch.equal(one.target, 2 * one.source)
        assert "1 to 2048 tokens of 4096" in str(backend.call(buffers("all_reduce", 100, 100)))


def test_multicast_is_left_alone_where_a_variable_forbids_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_SYMM_MEM_DISABLE_MULTICAST", "1")
    for backend in (Multimem, Flashinfer):
        with modules(flashinfer__comm=COMM), pytest.raises(Unavailable, match="TORCH_SYMM_MEM_DISABLE_MULTICAST=1"):
            backend(GPU)


@pytest.mark.parametrize(
    ("backend", "reason"),
    [(SglangCustom, "sglang is not installed"), (VllmCustom, "vllm is not"), (Flashinfer, "flashinfer is not")],
)
def test_what_is_not_installed_is_said(backend: Any, reason: str) -> None:
    with modules(), pytest.raises(Unavailable, match=reason):
        backend(GPU)
    with pytest.raises(Unavailable, match="a GPU for each rank"):
        backend(CPU)


def test_a_release_without_the_name_is_said() -> None:
    with modules(vllm={}), pytest.raises(Unavailable, match=r"vllm of unknown version has no .*CustomAllreduce"):
        VllmCustom(GPU)
