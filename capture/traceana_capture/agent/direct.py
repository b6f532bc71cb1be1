"""Describes collectives that neither c10d nor NCCL carries: custom all-reduce, CUDA IPC, and symmetric memory.

Read in sglang 0.5.23 and vLLM 0.33: a method that answers None did nothing, and its caller takes another way.
"""

import functools
import importlib.metadata
import sys
from collections.abc import Callable
from operator import attrgetter
from types import ModuleType
from typing import Any

import torch
from torch.distributed import distributed_c10d as c10d

from traceana_capture.agent.call_keys import shared_keys
from traceana_capture.agent.call_notes import CALLS, NO_SPAN

# As traceana.kernels names what the kernels' names tell; FlashInfer's all-reduce is its fused one with nothing fused.
CUSTOM, FUSED, IPC, SYMMETRIC = "custom all-reduce", "fused all-reduce", "CUDA IPC", "symmetric memory"
PCIE_IPC = ".device_communicators.pcie_ipc_ar"
USP = "sglang.multimodal_gen.runtime.layers.usp"
# The process group of a method's object.
GroupOf = Callable[[Any], Any]
# What carries a module's calls, its functions with c10d's word for what they do, and those that not all versions have.
Carrier = tuple[str, dict[str, str], dict[str, str]]
_CUSTOM_PARTS = {
    "CustomAllreduce.custom_all_gather": "_allgather_base",
    "CustomAllreduce.custom_reduce_scatter": "_reduce_scatter_base",
}
# end of a module's name -> its carrier
FUNCTIONS: dict[str, Carrier] = {
    ".device_communicators.custom_all_reduce": (
        CUSTOM,
        {"CustomAllreduce.custom_all_reduce": "allreduce"},
        _CUSTOM_PARTS,
    ),
    ".device_communicators.custom_all_reduce_v2": (CUSTOM, {"CustomAllReduceV2.custom_all_reduce": "allreduce"}, {}),
    ".device_communicators.quick_all_reduce": (CUSTOM, {"QuickAllReduce.quick_all_reduce": "allreduce"}, {}),
    PCIE_IPC: (CUSTOM, {"PcieIpcCommunicator.pcie_ipc_all_reduce": "allreduce"}, {}),
    ".device_communicators.flashinfer_all_reduce": (FUSED, {"FlashInferAllReduce.all_reduce": "allreduce"}, {}),
    ".device_communicators.flashinfer_pcie_ipc_all_reduce": (
        CUSTOM,
        {"FlashInferPcieIpcAllReduce.all_reduce": "allreduce"},
        {},
    ),
    ".device_communicators.ipc_a2a_multi": (IPC, {"IpcA2AMultiState.exchange": "all_to_all"}, {}),
    USP: (
        IPC,
        dict.fromkeys(("_ipc_varlen_fast", "_ipc_input_a2a_qkv", "_ipc_input_a2a_qkv_segmented"), "all_to_all"),
        {},
    ),
}
# The attribute that holds a method's process group; `group` for those that are not here.
GROUPS = {PCIE_IPC: "_group"}
# operator of torch.ops.symm_mem -> c10d's word, the argument that is sent
OPERATORS: dict[str, tuple[str, str]] = {
    "one_shot_all_reduce": ("allreduce", "input"),
    "one_shot_all_reduce_out": ("allreduce", "input"),
    "one_shot_all_reduce_copy": ("allreduce", "local_input"),
    "one_shot_all_reduce_copy_out": ("allreduce", "local_input"),
    "two_shot_all_reduce_": ("allreduce", "input"),
    "two_shot_all_reduce_out": ("allreduce", "input"),
    "multimem_all_reduce_": ("allreduce", "input"),
    "multimem_one_shot_all_reduce": ("allreduce", "input"),
    "multimem_one_shot_all_reduce_out": ("allreduce", "input"),
    "multimem_one_shot_reduce_out": ("reduce", "input"),
    "multimem_all_gather_out": ("_allgather_base", "input"),
    "reduce_scatter_out": ("_reduce_scatter_base", "input"),
    "nvshmem_all_to_all": ("all_to_all", "input"),
    "nvshmem_broadcast": ("broadcast", "input"),
}


def described(function: str, tensors: list[torch.Tensor], group: Any, backend: str, library: str) -> Any:
    """The span of one call that sends all of `tensors`; sizes in elements."""
    keys = shared_keys(function, tensors[0].dtype, group, backend, library)
    sent, size = sum(tensor.numel() for tensor in tensors), keys["Group size"]
    received = {"_allgather_base": sent * size, "_reduce_scatter_base": sent // size}.get(function, sent)
    return CALLS.span(keys, sent, received, None)


def knows(name: str) -> bool:
    """Whether the module of this name is wrapped."""
    return name.endswith(tuple(FUNCTIONS))


def watch(module: ModuleType) -> None:
    """Wrap the module's functions; one that is missing is named, because its calls will have no size."""
    end, (backend, needed, optional) = next(it for it in FUNCTIONS.items() if module.__name__.endswith(it[0]))
    # Raises where there is none: the group of all ranks would be a wrong one.
    group_of = attrgetter(GROUPS.get(end, "group"))
    for path in describe(module, backend, needed | optional, group_of):
        if path in needed:
            sys.stderr.write(f"traceana: {module.__name__} has no {path}, so its calls have no size\n")


def describe(module: ModuleType, backend: str, functions: dict[str, str], group_of: GroupOf) -> list[str]:
    """Wrap the module's `functions`, each with c10d's word for what it does; returns those that are missing.

    `group_of` gives the process group of a method's object, None for that of all ranks; where it raises, the call has
    no size.
    """
    package, missing = module.__name__.partition(".")[0], []
    for path, word in functions.items():
        owner_name, _, name = path.rpartition(".")
        owner = getattr(module, owner_name, None) if owner_name else module
        original = getattr(owner, name, None)
        if original is None:
            missing.append(path)
            continue
        setattr(owner, name, _wrapped(original, word, backend, package, group_of if owner_name else None))
    return missing


@functools.lru_cache
def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package


def _wrapped(original: Callable[..., Any], word: str, backend: str, package: str, group_of: GroupOf | None) -> Any:
    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling() or CALLS.inside.call:
            return original(*args, **kwargs)
        CALLS.come_directly()
        span = noted(args, kwargs) if CALLS.recording or CALLS.capturing else None
        if span is None:
            return original(*args, **kwargs)
        with CALLS.inside, span:
            result = original(*args, **kwargs)
        if result is None:
            CALLS.take_back()
        return result

    def noted(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
        try:
            group = _ulysses_group() if group_of is None else group_of(args[0])
            return described(word, tensors, group or c10d._get_default_group(), backend, _version(package))
        except Exception:  # another version's arguments; the call has no size then
            return None

    return call


def _ulysses_group() -> Any:
    state = sys.modules.get("sglang.multimodal_gen.runtime.distributed.parallel_state")
    return state.get_sp_group().ulysses_group if state is not None else None


class Operator(torch._ops.OpOverloadPacket):
    """An operator of torch.ops that notes its calls.

    The operator's own object becomes one of these: torch's compiler keeps tables of operators, and knows it in them.
    """

    traceana_word: str
    traceana_arguments: tuple[tuple[str, int], ...]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the operator, with a span around it while the window is open."""
        if torch.compiler.is_compiling():
            return super().__call__(*args, **kwargs)
        CALLS.come_directly()
        if not (CALLS.recording or CALLS.capturing):
            return super().__call__(*args, **kwargs)
        with _span_of(self, args, kwargs):
            return super().__call__(*args, **kwargs)


def _span_of(operator: Operator, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        tensor, name = (args[at] if len(args) > at else kwargs[key] for key, at in operator.traceana_arguments)
        group = c10d._resolve_process_group(name)  # type: ignore[attr-defined]
        return described(operator.traceana_word, [tensor], group, SYMMETRIC, f"torch {torch.__version__}")
    except Exception:  # wrong arguments, of which the operator tells
        return NO_SPAN


def note(packet: Any, word: str, sent: str) -> None:
    """Have the operator note its calls."""
    names = [argument.name for argument in packet.default._schema.arguments]
    packet.traceana_word = word
    packet.traceana_arguments = tuple((name, names.index(name)) for name in (sent, "group_name"))
    packet.__class__ = Operator


def watch_symmetric_memory() -> None:
    """Have the operators that this torch has note their calls."""
    for name, (word, sent) in OPERATORS.items():
        packet = getattr(torch.ops.symm_mem, name, None)
        if packet is not None:
            note(packet, word, sent)
