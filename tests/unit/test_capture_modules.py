"""Which module issued a call: read from the thread's frames, and named by the outermost module."""

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from traceana_capture.agent import call_notes, modules
from traceana_capture.agent.call_notes import Calls
from traceana_capture.agent.modules import MOST_FRAMES, NO_MODULE, Modules
from traceana_capture.launcher.modules import Places


class Leaf(nn.Module):
    """A layer that issues a call."""

    def __init__(self, issue: Callable[[], Any]) -> None:
        super().__init__()
        self.issue = issue

    def forward(self) -> Any:
        return self.issue()


class Block(nn.Module):
    def __init__(self, issue: Callable[[], Any]) -> None:
        super().__init__()
        self.attn = nn.ModuleDict({"to_out": Leaf(issue)})

    def forward(self) -> Any:
        return self.attn["to_out"]()


class Model(nn.Module):
    def __init__(self, issue: Callable[[], Any], layers: int = 2) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(issue) for _ in range(layers))
        self.head = Leaf(issue)

    def forward(self) -> list[Any]:
        return [*(block() for block in self.blocks), self.head()]


class Wrapper(nn.Module):
    """Holds the model where `named_modules` does not look."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.held = [model]

    def forward(self) -> Any:
        return self.held[0]()


def test_a_call_knows_its_modules_path_and_classes() -> None:
    found = Modules()
    model = Model(found.current)
    assert model() == model() == [0, 1, 2]
    assert found.current() == NO_MODULE
    assert found.names == [
        ("blocks.0.attn.to_out", "Leaf", "Block"),
        ("blocks.1.attn.to_out", "Leaf", "Block"),
        ("head", "Leaf", ""),
    ]


class Compiled(nn.Module):
    """Holds the model as torch.compile's module does."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._orig_mod = model

    def forward(self) -> Any:
        return self._orig_mod()


def test_wrappers_are_no_part_of_the_path() -> None:
    found = Modules()
    Wrapper(Model(found.current, 1))()
    nn.DataParallel(Compiled(Model(found.current, 1)))()
    assert {path for path, _, _ in found.names} == {"blocks.0.attn.to_out", "head"}


def test_a_module_is_named_though_it_is_gone_and_is_not_kept() -> None:
    found = Modules()
    model = Model(found.current, 1)
    gone = weakref.ref(model.head)
    model()
    del model
    gc.collect()
    assert gone() is None
    assert Leaf(found.current)() == 2
    assert found.names == [("blocks.0.attn.to_out", "Leaf", "Block"), ("head", "Leaf", ""), ("", "Leaf", "")]


def test_another_module_at_the_place_of_one_that_is_gone_is_another() -> None:
    found = Modules()
    first = Leaf(found.current)
    first()
    second = Leaf(found.current)
    # As if it had been made where the first was.
    found._numbers = {id(second): found._numbers[id(first)]}
    assert second() == 1


def test_a_stack_without_modules_is_not_looked_through_for_ever() -> None:
    found = Modules()

    def deep(depth: int) -> int:
        return deep(depth - 1) if depth else found.current()

    class Deep(nn.Module):
        def forward(self, depth: int) -> int:
            return deep(depth)

    assert (Deep()(3), Deep()(MOST_FRAMES)) == (0, NO_MODULE)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    monkeypatch.setattr(call_notes, "MODULES", Modules())
    fresh = Calls()
    fresh.recording = True
    return fresh


def test_a_call_that_another_describes_leaves_its_place(calls: Calls) -> None:
    def issue() -> None:
        with calls.placed():
            pass

    Model(issue, 1)()
    issue()
    facts = calls.export()
    (first, second) = facts["places"]
    assert [place[3] for place in facts["places"]] == [0, 1]
    assert first[0] == second[0] == threading.get_native_id()
    event = {"ph": "X", "name": "record_param_comms", "tid": first[0], "ts": (first[1] - 1000) / 1000 + 1}
    other = {"ph": "X", "name": "record_param_comms", "tid": first[0], "ts": second[2] / 1000 + 9}
    Places(facts["places"], facts["modules"], 0).mark([event, other])
    assert event["args"] == {
        "traceana module": "blocks.0.attn.to_out",
        "traceana module class": "Leaf",
        "traceana layer": "Block",
    }
    assert other["args"] == {}


def test_modules_are_found_in_code_that_stays_compiled(calls: Calls) -> None:
    """Nothing is put onto modules, so what was compiled before the window is not compiled anew."""
    seen: list[int] = []

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def issue() -> None:
        seen.append(modules.MODULES.current())

    class Step(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x + 1
            issue()
            return x * 2

    step = Step()
    compiled = torch.compile(step, backend="eager")
    compiled(torch.ones(2))
    with torch._dynamo.config.patch(error_on_recompile=True):
        compiled(torch.ones(2))
    assert len(seen) == 2
    modules.MODULES.clear()
