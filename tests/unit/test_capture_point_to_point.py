"""Sends and receives between ranks, and functional collectives, while somebody wants to know of calls."""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from traceana_capture.agent import functional, point_to_point
from traceana_capture.agent.call_keys import forget_groups, shared_keys
from traceana_capture.agent.call_notes import Calls


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Calls]:
    """Those of an open window, in a group of this process alone."""
    fresh = Calls()
    fresh.recording = True
    for module in (functional, point_to_point):
        monkeypatch.setattr(module, "CALLS", fresh)
        module.tap(True)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield fresh
    dist.destroy_process_group()
    forget_groups()
    for module in (functional, point_to_point):
        module.tap(False)


class Issued:
    """Stands for what c10d's methods do."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def send(self, *args: Any) -> str:
        self.calls.append(args[1:])
        return "work"


def test_a_send_has_its_size_and_its_peer(calls: Calls) -> None:
    issued, tensors = Issued(), [torch.ones(4), torch.ones(2, 3)]
    send = point_to_point._noted(issued.send, ("send", "Dst Rank"))
    assert send(dist.group.WORLD, tensors, 0, 5) == "work"
    assert issued.calls == [(tensors, 0, 5)]
    ((keys, sent, received, number, _, _, begin, end, begun),) = calls.host
    assert (keys["Collective name"], keys["Dst Rank"], keys["Group size"], keys["dtype"]) == ("send", 0, 1, "Float")
    assert (sent, received, number, begun, begin <= end) == (10, 10, None, True, True)


@pytest.mark.parametrize("tensors", [[torch.ones(4, device="meta")], [], None])
def test_a_send_elsewhere_or_with_wrong_arguments_is_issued_and_not_noted(calls: Calls, tensors: Any) -> None:
    issued = Issued()
    point_to_point._noted(issued.send, ("send", "Dst Rank"))(dist.group.WORLD, tensors, 3, 0)
    assert (issued.calls, calls.host, calls.seen) == ([(tensors, 3, 0)], [], 1)


def test_peers_are_numbered_in_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    group = types.SimpleNamespace(group_name="5", group_desc="pipeline")
    monkeypatch.setattr(dist, "get_process_group_ranks", lambda _: [2, 6])
    keys = shared_keys.__wrapped__("recv", torch.float32, group, "torch.distributed", "gloo", ("Src Rank", 1))
    assert (keys["Src Rank"], keys["Process Group Ranks"]) == (6, "[2, 6]")


def test_torchs_own_functions_come_here_only_while_wanted(calls: Calls) -> None:
    group: Any = dist.group.WORLD
    with pytest.raises(TypeError, match="incompatible function arguments"):
        group.send([torch.ones(1)], "no rank", 0)
    assert calls.seen == 1
    point_to_point.tap(False)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        group.send([torch.ones(1)], "no rank", 0)
    assert (calls.seen, vars(dist.ProcessGroup)["send"]) == (1, point_to_point.ORIGINALS["send"])


def test_a_functional_collective_asks_the_window_before_it_is_issued(calls: Calls) -> None:
    asked: list[int] = []
    calls.before, calls.unasked = lambda: asked.append(calls.seen), 0
    operators: Any = torch.ops._c10d_functional
    all_reduce = operators.all_reduce
    for wanted in (True, False):
        functional.tap(wanted)
        assert operators.wait_tensor(all_reduce(torch.ones(3), "sum", "0")).shape == (3,)
    assert (asked, calls.seen) == ([0], 1)
    assert type(all_reduce) is torch._ops.OpOverloadPacket
