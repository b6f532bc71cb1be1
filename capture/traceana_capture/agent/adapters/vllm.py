"""VLLM: spans of its steps, and the backend of its collectives.

PyNccl is switched by VLLM_DISABLE_PYNCCL, which the launcher sets; here goes what has no variable.
"""

import importlib
import importlib.metadata
from types import ModuleType

from traceana_capture.agent import routes
from traceana_capture.agent.adapters.hooks import Hook, adapter, install, needs_of_hooks, refusal, require
from traceana_capture.agent.frameworks import Need
from traceana_capture.agent.triggers import Triggers

WORKER = "vllm.v1.worker.gpu_worker"
PARALLEL = "vllm.distributed.parallel_state"
FLASHINFER = "vllm.distributed.device_communicators.flashinfer_all_reduce"
# Without a workspace vLLM neither calls FlashInfer's all-reduce nor fuses it with what follows.
WORKSPACES = ("get_fi_ar_workspace", "get_fi_ar_quant_workspace")
SWITCH = "VLLM_DISABLE_PYNCCL"
HOOKS = (Hook(owner="Worker", method="execute_model", span=lambda *_, **__: "execute_model", work=True),)

ENVIRONMENT = "vllm.envs"
CHOICE = tuple(Need(module=PARALLEL, path=name) for name in ("set_custom_all_reduce", "_ENABLE_CUSTOM_ALL_REDUCE"))
NEEDS = (
    *needs_of_hooks(WORKER, HOOKS),
    *CHOICE,
    *(Need(module=FLASHINFER, path=name) for name in WORKSPACES),
    Need(module=ENVIRONMENT, path="environment_variables"),
)


def knows(name: str) -> bool:
    """Whether the module of this name is wrapped."""
    return name in (WORKER, PARALLEL, FLASHINFER)


def wrap(module: ModuleType, triggers: Triggers, backend: str) -> None:
    """Wrap a module that is known; raises RuntimeError where the backend cannot be chosen."""
    if module.__name__ == WORKER:
        install(module, HOOKS, triggers)
    elif backend != "asis" and module.__name__ == FLASHINFER:
        for name in WORKSPACES:
            setattr(module, name, lambda *_, **__: None)
    elif backend != "asis":
        choose_backend(module, backend)


def choose_backend(module: ModuleType, backend: str) -> None:
    """Turn custom all-reduce off and keep it so, and see that vLLM heeds the switch of PyNccl; else RuntimeError."""
    variables = getattr(importlib.import_module(ENVIRONMENT), "environment_variables", {})
    if SWITCH not in variables:
        raise refusal(backend, f"vLLM {importlib.metadata.version('vllm')} does not know {SWITCH}")
    require(module, CHOICE, backend)
    original = module.set_custom_all_reduce
    original(False)
    module.set_custom_all_reduce = lambda _enable: original(False)  # type: ignore[attr-defined]
    routes.took(adapter("vLLM", "vllm"))
