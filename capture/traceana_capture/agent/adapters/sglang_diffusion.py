"""Sglang's diffusion runtime: spans of its work, and the backend of its collectives."""

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

from traceana_capture.agent import carriers, gpu_carriers, group_names, routes
from traceana_capture.agent.adapters.hooks import (
    Hook,
    Refusal,
    adapter,
    install,
    lacking,
    needs_of_hooks,
    pairs_refusal,
    refusal,
    require,
    require_of,
)
from traceana_capture.agent.agreement import sharing_group, together
from traceana_capture.agent.call_notes import CALLS
from traceana_capture.agent.choices import CHOICES, DIFFUSION_CUSTOM, DIFFUSION_PYNCCL
from traceana_capture.agent.frameworks import Need
from traceana_capture.agent.paired import PAIRS
from traceana_capture.agent.triggers import Triggers

RUNTIME = "sglang.multimodal_gen.runtime."
WORKER = RUNTIME + "managers.gpu_worker"
COORDINATOR = RUNTIME + "distributed.group_coordinator"
PYNCCL = RUNTIME + "distributed.device_communicators.pynccl"
CUSTOM = "sglang.srt.distributed.device_communicators.custom_all_reduce_v2"
CHOSEN = (DIFFUSION_CUSTOM, DIFFUSION_PYNCCL)
# What makes a custom all-reduce for pairs, and where it is then.
LENT = ("_init_srt_custom_allreduce", "srt_custom_allreduce")
# What sglang limits its buffers to, of which each rank has two for each rank and one more.
CUSTOM_BYTES = 32 << 20
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
    *(Need(module=PYNCCL, path=f"PyNcclCommunicator.{name}") for name in ("device", "disabled")),
    *(Need(module=COORDINATOR, path=f"GroupCoordinator.{name}") for name in LENT),
    Need(module=CUSTOM, path="CustomAllReduceV2.should_custom_ar", parameters=("inp",)),
    Need(module=CUSTOM, path="CustomAllReduceV2.custom_all_reduce", parameters=("input",)),
    *(Need(module=CUSTOM, path=f"CustomAllReduceV2.{name}") for name in ("close", "device", "disabled")),
    Need(module=gpu_carriers.IPC, path="load_ipc_a2a_sync"),
    Need(module=gpu_carriers.IPC, path="ipc_shareable_zeros"),
    Need(module=gpu_carriers.IPC, path="IpcA2AMultiState.init", parameters=("group",)),
    Need(module=gpu_carriers.IPC, path="IpcA2AMultiState.get_staging", parameters=("chunk", "dtype")),
    Need(module=gpu_carriers.IPC, path="IpcA2AMultiState.exchange", parameters=("send",)),
    *(Need(module=gpu_carriers.IPC, path=f"IpcA2AMultiState.{name}") for name in ("inited", "staging")),
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
        with CALLS.making:
            original(self, *args, **kwargs)
        require_of(self, COORDINATORS, backend)
        routes.took(name)
        # On CPU, shared memory would take collectives away from every backend.
        self.shm_handle = None
        if backend == "pynccl" and self.world_size > 1:
            routes.register(tuple(self.ranks), communicator(self))
        if PAIRS.operations and self.world_size > 1:
            _lend(self, reduces)

    return init


def _lend(coordinator: Any, reduces: bool) -> None:
    """Have this group's calls paired, where all of its ranks can; raises Refusal where a backend cannot be had at all.

    With `reduces` it is one to which sglang gives its all-reduce.
    """
    try:
        with PAIRS.apart():
            found = _carriers(coordinator, reduces)
    except Refusal:
        raise
    except Exception as error:
        PAIRS.end(error)
    else:
        PAIRS.add(tuple(coordinator.ranks), found, coordinator.cpu_group)


def _carriers(coordinator: Any, reduces: bool) -> dict[str, carriers.Carrier]:
    """What carries this group's copies of calls."""
    wanted, ranks, device = PAIRS.backends, coordinator.world_size, coordinator.device
    lent = {"ipc"} | ({"custom"} if reduces else set())
    sharing = sharing_group(coordinator.ranks) if wanted & lent else None
    makers: dict[str, Callable[[], carriers.Carrier]] = {
        "torch": carriers.Torch,
        "pynccl": lambda: carriers.PyNccl(communicator(coordinator)),
        "symm_mem": lambda: gpu_carriers.Symmetric(coordinator.device_group.group_name, ranks, device),
        "ipc": lambda: gpu_carriers.Ipc(ranks, device, sharing),
    }
    if reduces:
        makers["custom"] = lambda: gpu_carriers.Custom(_custom(coordinator, sharing))
    return {name: makers[name]() for name in sorted(wanted & makers.keys())}


def _custom(coordinator: Any, sharing: Any) -> Any:
    """Sglang's custom all-reduce for the group, which does not get it; raises Refusal where it cannot work."""
    require_of(coordinator, LENT, "custom")
    needed = (2 * coordinator.world_size + 1) * CUSTOM_BYTES
    together(lambda: gpu_carriers.room_for(needed, coordinator.device), coordinator.cpu_group)
    made = together(lambda: _made(coordinator, sharing), coordinator.cpu_group)
    together(lambda: _compile(made, coordinator.device), coordinator.cpu_group)
    return made


def _compile(made: Any, device: Any) -> None:
    """Have the kernel before the window, which is shorter."""
    made.should_custom_ar(torch.ones(1 << 12, dtype=torch.bfloat16, device=device))


def _made(coordinator: Any, sharing: Any) -> Any:
    """Set up on all ranks together, which do not wait long for one that fails."""
    votes, coordinator.cpu_group = coordinator.cpu_group, sharing
    try:
        coordinator._init_srt_custom_allreduce()
    finally:
        coordinator.cpu_group = votes
    made, coordinator.srt_custom_allreduce = coordinator.srt_custom_allreduce, None
    if made is None or made.disabled:
        raise pairs_refusal("custom", "sglang takes its custom all-reduce for impossible on these GPUs")
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
