"""Sglang's language runtime: spans of its batches, and the backend of its collectives."""

import functools
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from traceana_capture.agent import routes
from traceana_capture.agent.adapters.hooks import (
    Hook,
    adapter,
    install,
    lacking,
    needs_of_hooks,
    refusal,
    require,
    require_of,
)
from traceana_capture.agent.choices import CHOICES, SRT_CUSTOM, SRT_MSCCLPP, SRT_OFF, SRT_PYNCCL, SRT_SYMMETRIC
from traceana_capture.agent.frameworks import Need
from traceana_capture.agent.triggers import Triggers

SCHEDULER = "sglang.srt.managers.scheduler"
COORDINATOR = "sglang.srt.distributed.parallel_state"
HOOKS = (Hook(owner="Scheduler", method="run_batch", span=lambda *_, **__: "batch", work=True),)
# The diffusion runtime, which makes groups of this one too, for layers that both have.
DIFFUSION = "sglang.multimodal_gen.runtime.distributed.parallel_state"
# Ways that sglang itself turns on for the groups that can have them, with the function that does.
SWITCHES = {SRT_CUSTOM: "set_custom_all_reduce", SRT_SYMMETRIC: "set_torch_symm_mem_all_reduce"}
CHOSEN = (SRT_PYNCCL, SRT_CUSTOM, SRT_MSCCLPP, SRT_SYMMETRIC)
CHOICE = (Need(module=COORDINATOR, path="GroupCoordinator.__init__", parameters=CHOSEN),)
PYNCCL = "sglang.srt.distributed.device_communicators.pynccl"
NEEDS = (
    *needs_of_hooks(SCHEDULER, HOOKS),
    *CHOICE,
    *(Need(module=COORDINATOR, path=name) for name in SWITCHES.values()),
    *(Need(module=COORDINATOR, path=f"GroupCoordinator.{name}") for name in ("world_size", "pynccl_comm")),
    *(Need(module=PYNCCL, path=f"PyNcclCommunicator.{name}") for name in ("available", "disabled")),
)


def knows(name: str) -> bool:
    """Whether the module of this name is wrapped."""
    return name in (SCHEDULER, COORDINATOR)


def wrap(module: ModuleType, triggers: Triggers, backend: str) -> None:
    """Wrap a module that is known; raises RuntimeError where the backend cannot be chosen."""
    if module.__name__ == SCHEDULER:
        install(module, HOOKS, triggers)
    elif backend != "asis":
        choose_backend(module, backend)


def choose_backend(module: ModuleType, backend: str) -> None:
    """Send the collectives of the module's GroupCoordinator to `backend`; raises RuntimeError where it cannot."""
    require(module, CHOICE, backend)
    for way, switch in SWITCHES.items():
        if (CHOICES[backend].srt or {}).get(way):
            _keep_on(module, switch, backend)
    kind = module.GroupCoordinator
    name = adapter("sglang srt", "sglang")
    kind.__init__ = _with_backend(kind.__init__, inspect.signature(kind.__init__), backend, name)


def _keep_on(module: ModuleType, switch: str, backend: str) -> None:
    require(module, (Need(module=COORDINATOR, path=switch),), backend)
    original = getattr(module, switch)
    original(True)
    setattr(module, switch, lambda _enable: original(True))


def _with_backend(original: Callable[..., None], signature: inspect.Signature, backend: str, name: str) -> Any:
    choice = CHOICES[backend]

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        chosen = choice.srt
        if chosen is None and choice.diffusion is not None and DIFFUSION in sys.modules:
            chosen = SRT_OFF
        if chosen is None:
            raise lacking(backend, name)
        bound.arguments |= {way: on for way, on in chosen.items() if not (on and way in SWITCHES)}
        original(*bound.args, **bound.kwargs)
        require_of(self, ("world_size", "pynccl_comm"), backend)
        routes.took(name)
        if backend == "pynccl" and self.world_size > 1:
            _use(self.pynccl_comm)

    return init


def _use(communicator: Any) -> None:
    """Let the communicator carry collectives always: sglang leaves that to CUDA graphs."""
    if communicator is None or not communicator.available:
        raise refusal("pynccl", "sglang could not make its PyNccl communicator, which needs a GPU and NCCL's library")
    communicator.disabled = False
