"""Sglang's language runtime (0.5.23): spans of its batches, and the backend of its collectives."""

import functools
import importlib.metadata
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from traceana_capture.agent import routes
from traceana_capture.agent.adapters.hooks import Hook, install, refusal
from traceana_capture.agent.triggers import Triggers

SCHEDULER = "sglang.srt.managers.scheduler"
COORDINATOR = "sglang.srt.distributed.parallel_state"
VERSIONS = ("0.5.23",)
HOOKS = (Hook(owner="Scheduler", method="run_batch", span=lambda *_, **__: "batch", work=True),)
# Ways that take collectives away from PyNccl and torch.distributed, as arguments of GroupCoordinator.
OTHERS = ("use_custom_allreduce", "use_mscclpp", "use_torch_symm_mem_all_reduce")


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
    version = importlib.metadata.version("sglang")
    if version not in VERSIONS:
        raise refusal(backend, f"sglang {version} is not known, only {', '.join(VERSIONS)}")
    kind = getattr(module, "GroupCoordinator", None)
    if kind is None:
        raise refusal(backend, f"{module.__name__}.GroupCoordinator is missing")
    signature = inspect.signature(kind.__init__)
    missing = {"use_pynccl", *OTHERS} - set(signature.parameters)
    if missing:
        raise refusal(backend, f"GroupCoordinator's {', '.join(sorted(missing))} is missing")
    kind.__init__ = _with_backend(kind.__init__, signature, backend, f"sglang srt {version}")


def _with_backend(original: Callable[..., None], signature: inspect.Signature, backend: str, adapter: str) -> Any:
    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.arguments |= dict.fromkeys(OTHERS, False) | {"use_pynccl": backend == "pynccl"}
        original(*bound.args, **bound.kwargs)
        routes.took(adapter)
        if backend == "pynccl" and self.world_size > 1:
            _use(getattr(self, "pynccl_comm", None))

    return init


def _use(communicator: Any) -> None:
    """Let the communicator carry collectives always: sglang leaves that to CUDA graphs."""
    if communicator is None or not communicator.available:
        raise refusal("pynccl", "sglang could not make its PyNccl communicator, which needs a GPU and NCCL's library")
    communicator.disabled = False
