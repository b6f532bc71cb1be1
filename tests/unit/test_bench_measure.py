"""What a rank does where a call cannot be made, on stand-ins for what needs GPUs."""

from typing import Any
from unittest import mock

import pytest
import torch

from traceana.bench import checked, launch, measure, world
from traceana.bench.backends import Call, Unavailable
from traceana.bench.buffers import Buffers
from traceana.bench.plan import Message, Plan
from traceana.bench.world import World
from traceana.errors import TraceanaError

MESSAGE = Message(op="all_reduce", message_bytes=4096)


class Apart(World):
    """One of two ranks; `elsewhere` says whether the other has a problem."""

    elsewhere = False

    def anywhere(self, wrong: bool) -> bool:
        return wrong or self.elsewhere


class Elsewhere(Apart):
    """Its other rank has one."""

    elsewhere = True


def rank(kind: type[Apart] = Apart) -> Apart:
    return kind(rank=0, size=2, device=torch.device("cpu"))


def plan(**changed: Any) -> Plan:
    fields: dict[str, Any] = {
        "messages": (MESSAGE,),
        "backends": ("torch",),
        "dtype": "float32",
        "graphs": (False, True),
        "in_place": False,
        "iterations": 3,
        "blocks": 3,
        "imbalance": 2.0,
        "under_compute": False,
        "warm_cache": False,
        "seed": 0,
    }
    return Plan(**fields | changed)


class Backend:
    """Fails to allocate."""

    name = detail = "stand-in"

    def __init__(self, world: World) -> None: ...

    def call(self, buffers: Buffers) -> Call:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4.00 KiB")


def checking(error: Exception | None, kind: type[Apart], *, graph: bool) -> str | None:
    """What comes of a call whose making raises `error` on this rank."""
    buffers = Buffers(op="all_reduce", source=torch.zeros(4), target=torch.zeros(4))
    with mock.patch.object(checked, "Timer", side_effect=error):
        return checked.check(Backend(rank()), MESSAGE, rank(kind), buffers, Call(run=print), graph=graph)


def test_what_a_capture_raises_is_a_reason_whatever_its_class() -> None:
    reason = checking(AssertionError("No config for nbytes = 4096\nmore"), Apart, graph=True)
    assert reason == "it cannot be captured in a CUDA graph: AssertionError: No config for nbytes = 4096"
    assert checking(Unavailable("ncclAllReduce: invalid usage"), Apart, graph=False) == "ncclAllReduce: invalid usage"
    with pytest.raises(AssertionError):
        checking(AssertionError("a fault of the backend"), Apart, graph=False)


def test_no_rank_measures_what_another_cannot() -> None:
    assert checking(None, Elsewhere, graph=True) == "another rank cannot make it"


def test_too_large_a_message_is_left_out() -> None:
    found = measure._variants(plan(), rank(), MESSAGE, Backend(rank()))
    assert found == ([], ["there is not enough memory for buffers of 4\u00a0KiB"])


def test_what_cpus_cannot_have_is_named() -> None:
    wanted = measure._left_out(plan(under_compute=True), rank())
    assert [reason.partition(":")[0] for reason in wanted] == ["in a CUDA graph", "beside compute"]
    assert measure._left_out(plan(graphs=(False,)), rank()) == []


@pytest.mark.parametrize(("gpus", "local", "device"), [(1, "3", "cuda:0"), (8, "3", "cuda:3")])
def test_a_task_of_srun_takes_the_gpu_that_it_sees(
    gpus: int, local: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", local)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    with (
        mock.patch("torch.cuda.device_count", return_value=gpus),
        mock.patch("torch.cuda.set_device"),
        mock.patch.multiple("torch.distributed", init_process_group=mock.DEFAULT, get_rank=int, get_world_size=int),
    ):
        assert str(world.join().device) == device


@pytest.mark.parametrize(("number", "raised"), [("0", TraceanaError), ("1", SystemExit)])
def test_ranks_of_torchrun_say_their_error_once(
    number: str, raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": number, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with (
        mock.patch("traceana.bench.rank.measured", side_effect=TraceanaError("a wrong result")),
        pytest.raises(raised),
    ):
        launch.join(plan())
