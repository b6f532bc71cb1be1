"""Sglang's diffusion runtime: spans of its work, and the backend of its collectives."""

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

from traceana_capture.agent import carriers, group_names, routes
from traceana_capture.agent.adapters.hooks import (
    Hook,
    adapter,
    install,
    lacking,
    needs_of_hooks,
    pairs_refusal,
    refusal,
    require,
    require_of,
)
from traceana_capture.agent.call_notes import CALLS
from traceana_capture.agent.choices import CHOICES, DIFFUSION_CUSTOM, DIFFUSION_PYNCCL
from traceana_capture.agent.frameworks import Need
from traceana_capture.agent.paired import PAIRS
from traceana_capture.agent.triggers import Triggers

RUNTIME = "sglang.multimodal_gen.runtime."
WORKER = RUNTIME + "managers.gpu_worker"
COORDINATOR = RUNTIME + "distributed.group_coordinator"
PYNCCL = RUNTIME + "distributed.device_communicators.pynccl"
CHOSEN = (DIFFUSION_CUSTOM, DIFFUSION_PYNCCL)
# What makes a custom all-reduce for pairs, and where it is then.
LENT = ("_init_srt_custom_allreduce", "srt_custom_allreduce")
# What a coordinator that was made must have.
COORDINATORS = ("world_size", "ranks", "cpu_group", "device", "device_communicator")


def denoise_step(_self: Any, _ctx: Any, step: Any, *_: Any, **__: Any) -> str:
    """The span's name; sglang passes an object that holds the index."""
    return f"denoise_step {step.step_index}"


HOOKS: dict[str, tuple[Hook, ...]] = {
    WORKER: (Hook(owner="GPUWorker", method="execute_forward", span=lambda *_, **__: "request", work=True),),
    RUNTIME + "pipelines_core.stages.base": (
        Hook(owner="PipelineStage", method="__call__", span=lambda self, *_, **__: f"stage {type(self).__name__}"),
    ),
    RUNTIME + "pipelines_core.stages.denoising": (
        Hook(owner="DenoisingStage", method="_run_denoising_step", span=denoise_step, step=True),
    ),
    RUNTIME + "layers.attention.layer": tuple(
        Hook(owner=owner, method="forward", span=lambda *_, **__: "UlyssesAttention")
        for owner in ("UlyssesAttention", "USPAttention")
    ),
}

CHOICE = (Need(module=COORDINATOR, path="GroupCoordinator.__init__", parameters=CHOSEN),)
_CALLS = {
    "all_reduce": ("in_tensor|input_tensor|tensor", "op", "stream"),
    "broadcast": ("tensor", "src", "stream"),
    "all_gather": ("output_tensor", "input_tensor", "stream"),
    "reduce_scatter": ("output_tensor", "input_tensor", "op", "stream"),
    "all_to_all_single": ("output", "input_|input", "output_split_sizes", "input_split_sizes", "stream"),
}
NEEDS = (
    *(need for module, hooks in HOOKS.items() for need in needs_of_hooks(module, hooks)),
    *CHOICE,
    *(Need(module=COORDINATOR, path=f"GroupCoordinator.{name}") for name in (*COORDINATORS, "device_group")),
    *(Need(module=PYNCCL, path=f"PyNcclCommunicator.{name}", parameters=known) for name, known in _CALLS.items()),
    Need(module=PYNCCL, path="PyNcclCommunicator.disabled"),
    *(Need(module=COORDINATOR, path=f"GroupCoordinator.{name}") for name in LENT),
    Need(module=carriers.IPC, path="ipc_a2a_multi_ready", parameters=("group", "enabled")),
    Need(module=carriers.IPC, path="IpcA2AMultiState.exchange", parameters=("send",)),
    *(Need(module=group_names.STATE, path=name) for name in group_names.COORDINATORS),
    *(Need(module=COORDINATOR, path=f"SequenceParallelGroupCoordinator.{name}") for name in group_names.PARTS),
)


def knows(name: str) -> bool:
    """Whether the module of this name is wrapped."""
    return name in HOOKS or name == COORDINATOR


def wrap(module: ModuleType, triggers: Triggers, backend: str) -> None:
    """Wrap a module that is known; raises RuntimeError where the backend cannot be chosen."""
    install(module, HOOKS.get(module.__name__, ()), triggers)
    if module.__name__ == COORDINATOR and backend != "asis":
        choose_backend(module, backend)


def choose_backend(module: ModuleType, backend: str) -> None:
    """Send the collectives of the module's GroupCoordinator to `backend`; raises RuntimeError where it cannot."""
    require(module, CHOICE, backend)
    kind = module.GroupCoordinator
    kind.__init__ = _with_backend(kind.__init__, backend, adapter("sglang diffusion", "sglang"))


def _with_backend(original: Callable[..., None], backend: str, name: str) -> Any:
    chosen = CHOICES[backend].diffusion

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        if chosen is None:
            raise lacking(backend, name)
        reduces = kwargs.get(DIFFUSION_CUSTOM, False)
        kwargs |= chosen
        if "pynccl" in PAIRS.backends:
            kwargs |= {DIFFUSION_PYNCCL: True}
        original(self, *args, **kwargs)
        require_of(self, COORDINATORS, backend)
        routes.took(name)
        # On CPU, shared memory would take collectives away from every backend.
        self.shm_handle = None
        if backend == "pynccl" and self.world_size > 1:
            routes.register(tuple(self.ranks), communicator(self))
        if PAIRS.operations and self.world_size > 1:
            PAIRS.add(tuple(self.ranks), _carriers(self, reduces), self.cpu_group)

    return init


def _carriers(coordinator: Any, reduces: bool) -> dict[str, carriers.Carrier]:
    """What carries this group's copies of calls; with `reduces` it is one to which sglang gives its all-reduce."""
    makers: dict[str, Callable[[], carriers.Carrier]] = {
        "torch": carriers.Torch,
        "pynccl": lambda: carriers.PyNccl(communicator(coordinator)),
        "symm_mem": lambda: carriers.Symmetric(coordinator.device_group.group_name),
        "ipc": carriers.Ipc,
    }
    if reduces:
        makers["custom"] = lambda: carriers.Custom(_custom(coordinator))
    return {name: makers[name]() for name in sorted(PAIRS.backends & makers.keys())}


def _custom(coordinator: Any) -> Any:
    """Sglang's custom all-reduce for the group, which does not get it; raises RuntimeError where it cannot work."""
    require_of(coordinator, LENT, "custom")
    with CALLS.inside:
        coordinator._init_srt_custom_allreduce()
        made, coordinator.srt_custom_allreduce = coordinator.srt_custom_allreduce, None
        if made is None or made.disabled:
            raise pairs_refusal("custom", "sglang takes its custom all-reduce for impossible on these GPUs")
        # Compiling takes longer than a window.
        made.custom_all_reduce(torch.ones(1 << 12, dtype=torch.bfloat16, device=coordinator.device))
    return made


def communicator(coordinator: Any) -> Any:
    """The coordinator's PyNccl communicator; raises RuntimeError when there is none that works."""
    device = str(coordinator.device)
    if not device.startswith("cuda"):
        raise refusal("pynccl", f"PyNccl needs CUDA tensors, and this rank's device is {device}")
    found = getattr(coordinator.device_communicator, "pynccl_comm", None)
    if found is None or found.disabled:
        state = "missing" if found is None else "disabled, because NCCL's library did not load"
        raise refusal("pynccl", f"{type(coordinator.device_communicator).__name__}.pynccl_comm is {state}")
    return found
