"""VLLM: spans of its steps, and the backend of its collectives.

PyNccl and symmetric memory are switched by variables, which the launcher sets; here goes what has none.
"""

import functools
import importlib
import importlib.metadata
from types import ModuleType
from typing import Any

from traceana_capture.agent import routes
from traceana_capture.agent.adapters import vllm_torch
from traceana_capture.agent.adapters.hooks import Hook, adapter, install, lacking, needs_of_hooks, refusal, require
from traceana_capture.agent.choices import CHOICES, VLLM_PYNCCL
from traceana_capture.agent.frameworks import Need
from traceana_capture.agent.triggers import Triggers

WORKER = "vllm.v1.worker.gpu_worker"
PARALLEL = "vllm.distributed.parallel_state"
FLASHINFER = "vllm.distributed.device_communicators.flashinfer_all_reduce"
# Without a workspace vLLM neither calls FlashInfer's all-reduce nor fuses it with what follows.
WORKSPACES = ("get_fi_ar_workspace", "get_fi_ar_quant_workspace")
HOOKS = (Hook(owner="Worker", method="execute_model", span=lambda *_, **__: "execute_model", work=True),)

ENVIRONMENT = "vllm.envs"
CHOICE = tuple(Need(module=PARALLEL, path=name) for name in ("set_custom_all_reduce", "_ENABLE_CUSTOM_ALL_REDUCE"))
NEEDS = (
    *needs_of_hooks(WORKER, HOOKS),
    *CHOICE,
    *(Need(module=FLASHINFER, path=name) for name in WORKSPACES),
    Need(module=ENVIRONMENT, path="environment_variables"),
    *vllm_torch.NEEDS,
)


def knows(name: str) -> bool:
    """Whether the module of this name is wrapped."""
    return name in (WORKER, PARALLEL, FLASHINFER, vllm_torch.COMMUNICATOR)


def wrap(module: ModuleType, triggers: Triggers, backend: str) -> None:
    """Wrap a module that is known; raises RuntimeError where the backend cannot be chosen."""
    if module.__name__ == WORKER:
        install(module, HOOKS, triggers)
    elif backend != "asis" and module.__name__ == FLASHINFER:
        for name in WORKSPACES:
            setattr(module, name, lambda *_, **__: None)
    elif module.__name__ == vllm_torch.COMMUNICATOR:
        if backend != "asis" and CHOICES[backend].variables.get(VLLM_PYNCCL) == "1":
            vllm_torch.replace(module, backend)
    elif backend != "asis":
        choose_backend(module, backend)


def choose_backend(module: ModuleType, backend: str) -> None:
    """Turn custom all-reduce on or off and keep it so, and see that vLLM heeds the switches; else RuntimeError."""
    choice, variables = CHOICES[backend], getattr(importlib.import_module(ENVIRONMENT), "environment_variables", {})
    name, on = adapter("vLLM", "vllm"), choice.vllm_custom
    require(module, CHOICE, backend)
    original = module.set_custom_all_reduce
    if on is None:
        module.set_custom_all_reduce = functools.partial(_refuse, backend, name)  # type: ignore[attr-defined]
        return
    for switch in _switches(choice.variables):
        if switch not in variables:
            raise refusal(backend, f"vLLM {importlib.metadata.version('vllm')} does not know {switch}")
    original(on)
    module.set_custom_all_reduce = lambda _enable: original(on)  # type: ignore[attr-defined]
    routes.took(name)


def _refuse(backend: str, name: str, *_: Any, **__: Any) -> None:
    raise lacking(backend, name)


def _switches(variables: dict[str, str]) -> list[str]:
    """The variables without which vLLM would not do what was asked; one that turns off what it lacks is none."""
    return [name for name, value in variables.items() if name == VLLM_PYNCCL or (value == "1" and "VLLM" in name)]
