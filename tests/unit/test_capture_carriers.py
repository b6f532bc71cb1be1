"""Pairs of backends: which two can be asked for, and what carries a copy of a call."""

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from traceana_capture.agent import carriers, paired, routes
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
    with pytest.raises(TraceanaError, match="cannot pair calls on ipc: no ipc_a2a_multi_ready in"):
        backends.check_program("torch", command, asked)
    backends.check_program("torch", command, pairings(["all_reduce:torch,symm_mem"]))


class Reducer:
    """Sglang's custom all-reduce as far as pairs use it."""

    disabled = False

    def __init__(self) -> None:
        self.reduced: list[int] = []

    def should_custom_ar(self, tensor: torch.Tensor) -> bool:
        return tensor.numel() <= 1 << 12

    def custom_all_reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        self.reduced.append(tensor.numel())
        return tensor + 1


class GroupCoordinator:
    """Sglang's, as far as it makes a custom all-reduce."""

    made = Reducer()
    srt_custom_allreduce: Reducer | None = None
    device_communicator = None
    cpu_group = "host group"
    device = "cpu"

    def __init__(
        self, ranks: list[int], use_device_communicator: bool = True, use_srt_custom_allreduce: bool = False
    ) -> None:
        self.ranks, self.world_size, self.custom = ranks, len(ranks), use_srt_custom_allreduce

    def _init_srt_custom_allreduce(self) -> None:
        self.srt_custom_allreduce = self.made


def test_a_group_that_sglang_reduces_lends_its_custom_all_reduce_to_pairs_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fresh = paired.Pairs()
    fresh.choose({"all_reduce": ("torch", "custom")})
    monkeypatch.setattr(sglang_diffusion, "PAIRS", fresh)
    monkeypatch.setattr(routes, "ADAPTERS", [])
    monkeypatch.setattr("importlib.metadata.version", lambda _: "0.5.23")
    module: Any = types.ModuleType(sglang_diffusion.COORDINATOR)
    module.GroupCoordinator = GroupCoordinator
    monkeypatch.setattr(GroupCoordinator, "__init__", GroupCoordinator.__init__)
    sglang_diffusion.choose_backend(module, "torch")
    made = GroupCoordinator([0, 1], use_srt_custom_allreduce=True)
    GroupCoordinator([0, 1])
    assert (made.custom, made.srt_custom_allreduce, made.made.reduced) == (False, None, [1 << 12])
    custom = fresh.peers[0, 1].carriers["custom"]
    assert custom.carries("all_reduce", {"tensor": torch.zeros(8)})
    assert not custom.carries("all_reduce", {"tensor": torch.zeros(8), "op": dist.ReduceOp.MAX})
    assert not custom.carries("all_reduce", {"tensor": torch.zeros(1 << 13)})
    assert custom.issue(lambda: None, {"tensor": torch.zeros(2)}, "tensor").tolist() == [1, 1]


def test_ipc_takes_equal_parts_and_symmetric_memory_what_fits_its_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "get_world_size", lambda _: 2)
    ipc, sent = carriers.Ipc(), torch.zeros(8)
    assert ipc.carries("all_to_all_single", {"output": torch.zeros(8), "input": sent})
    assert not ipc.carries("all_to_all_single", {"output": torch.zeros(8), "input": sent, "input_split_sizes": [2, 6]})
    assert not ipc.carries("all_to_all_single", {"output": torch.zeros(6), "input": torch.zeros(6)[:5]})
    symmetric = carriers.Symmetric("group")
    assert symmetric.carries("all_reduce", {"tensor": torch.zeros(8)})
    assert not symmetric.carries("all_reduce", {"tensor": torch.zeros(8, dtype=torch.float64)})
    assert not symmetric.carries("all_reduce", {"tensor": torch.zeros(3)})
    assert not symmetric.carries("all_reduce", {"tensor": torch.empty(carriers.SYMMETRIC_BYTES, dtype=torch.bfloat16)})


def test_another_carrier_of_the_same_ranks_prepares_anew() -> None:
    pairs = paired.Pairs()
    pairs._known = {((0, 1), "all_reduce", torch.float32, 4), ((0,), "all_reduce", torch.float32, 4)}
    pairs.add((0, 1), {}, None)
    assert pairs._known == {((0,), "all_reduce", torch.float32, 4)}
