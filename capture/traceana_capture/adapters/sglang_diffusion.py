"""Sglang's diffusion runtime (0.5.23): spans of its work, and the backend of its collectives."""

import functools
import importlib.metadata
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from traceana_capture import routes
from traceana_capture.triggers import Triggers, around

RUNTIME = "sglang.multimodal_gen.runtime."
WORKER = RUNTIME + "managers.gpu_worker"
COORDINATOR = RUNTIME + "distributed.group_coordinator"
# Those whose GroupCoordinator was read and tried.
VERSIONS = ("0.5.23",)


def denoise_step(_self: Any, _ctx: Any, step: Any, *_: Any, **__: Any) -> str:
    """The span's name; sglang passes an object that holds the index."""
    return f"denoise_step {step.step_index}"


# module -> (class, method, name of the span)
SPANS: dict[str, list[tuple[str, str, Callable[..., str]]]] = {
    WORKER: [("GPUWorker", "execute_forward", lambda *_, **__: "request")],
    RUNTIME + "pipelines_core.stages.base": [
        ("PipelineStage", "__call__", lambda self, *_, **__: f"stage {type(self).__name__}")
    ],
    RUNTIME + "pipelines_core.stages.denoising": [
        (
            "DenoisingStage",
            "_run_denoising_step",
            denoise_step,
        )
    ],
    RUNTIME + "layers.attention.layer": [
        (kind, "forward", lambda *_, **__: "UlyssesAttention") for kind in ("UlyssesAttention", "USPAttention")
    ],
}
MODULES = frozenset({*SPANS, COORDINATOR})


def add_spans(module: ModuleType, triggers: Triggers) -> None:
    """Wrap the module's methods that have a span; requests and denoising steps also reach the triggers."""
    for owner, method, name in SPANS[module.__name__]:
        kind = getattr(module, owner, None)
        original = getattr(kind, method, None)
        if original is None:
            sys.stderr.write(f"traceana: {module.__name__}.{owner}.{method} is missing, so its spans are\n")
            continue
        setattr(kind, method, _triggering(method, original, _spanned(original, name), triggers))


def _triggering(method: str, original: Any, spanned: Any, triggers: Triggers) -> Any:
    """The method with its triggers around it, which a warm-up request does not touch."""
    if method == "execute_forward":
        real = around(spanned, triggers.work, lambda: None)
    elif method == "_run_denoising_step" and not triggers.step_on:
        real = around(spanned, triggers.begin_step, triggers.end_step)
    else:
        return spanned

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        warm = any(getattr(value, "is_warmup", False) for value in (*args[1:], *kwargs.values()))
        return (spanned if warm else real)(*args, **kwargs)

    return call


def _spanned(original: Any, name: Callable[..., str]) -> Any:
    import torch

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        with torch.profiler.record_function(name(*args, **kwargs)):
            return original(*args, **kwargs)

    return call


def choose_backend(module: ModuleType, backend: str) -> None:
    """Send the collectives of the module's GroupCoordinator to `backend`; raises RuntimeError where it cannot."""
    if backend == "asis":
        return
    version = importlib.metadata.version("sglang")
    if version not in VERSIONS:
        raise _refusal(backend, f"sglang {version} is not known, only {', '.join(VERSIONS)}")
    kind = getattr(module, "GroupCoordinator", None)
    if kind is None:
        raise _refusal(backend, f"{module.__name__}.GroupCoordinator is missing")
    missing = {"use_srt_custom_allreduce", "use_device_communicator"} - set(inspect.signature(kind).parameters)
    if missing:
        raise _refusal(backend, f"GroupCoordinator's {', '.join(sorted(missing))} is missing")
    kind.__init__ = _with_backend(kind.__init__, backend)
    routes.ADAPTERS.append(f"sglang diffusion {version}")


def _refusal(backend: str, reason: str) -> RuntimeError:
    return RuntimeError(f"traceana: --backend {backend} cannot be done: {reason}; use --backend asis")


def _with_backend(original: Callable[..., None], backend: str) -> Any:
    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        # Custom all-reduce and, on CPU, shared memory would take collectives away from both backends.
        kwargs |= {"use_srt_custom_allreduce": False}
        if backend == "pynccl":
            kwargs |= {"use_device_communicator": True}
        original(self, *args, **kwargs)
        self.shm_handle = None
        if backend == "pynccl" and self.world_size > 1:
            routes.COMMUNICATORS[tuple(self.ranks)] = communicator(self)

    return init


def communicator(coordinator: Any) -> Any:
    """The coordinator's PyNccl communicator; raises RuntimeError when there is none that works."""
    device = str(coordinator.device)
    if not device.startswith("cuda"):
        raise _refusal("pynccl", f"PyNccl needs CUDA tensors, and this rank's device is {device}")
    found = getattr(coordinator.device_communicator, "pynccl_comm", None)
    if found is None or found.disabled:
        state = "missing" if found is None else "disabled, because NCCL's library did not load"
        raise _refusal("pynccl", f"{type(coordinator.device_communicator).__name__}.pynccl_comm is {state}")
    return found
