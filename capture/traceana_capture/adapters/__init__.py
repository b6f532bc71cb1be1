"""What is known of frameworks, one file each; their modules are wrapped as they load."""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

from traceana_capture import direct, pynccl
from traceana_capture.adapters import diffusers, optimizer, sglang_diffusion, sglang_srt, vllm
from traceana_capture.triggers import Triggers

FRAMEWORKS = (sglang_diffusion, sglang_srt, vllm, diffusers, optimizer)
# Modules of processes whose work are requests.
WORKERS = frozenset({sglang_diffusion.WORKER, sglang_srt.SCHEDULER, vllm.WORKER})


def owns_window() -> bool:
    """Whether a framework with requests of its own is at work in this process."""
    return not sys.modules.keys().isdisjoint(WORKERS)


def watch_imports(triggers: Triggers, backend: str) -> None:
    """Wrap the frameworks' methods, and the functions that the triggers name, as their modules load."""
    for name in triggers.modules & sys.modules.keys():
        triggers.watch(sys.modules[name])
    if optimizer.MODULE in sys.modules:
        optimizer.wrap(sys.modules[optimizer.MODULE], triggers, backend)
    sys.meta_path.insert(0, _Finder(triggers, backend))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, triggers: Triggers, backend: str) -> None:
        self.triggers = triggers
        self.backend = backend
        self.knows = (direct.knows, pynccl.knows, *(framework.knows for framework in FRAMEWORKS))

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self.triggers.modules and not any(knows(fullname) for knows in self.knows):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self._wrap(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def _wrap(self, module: ModuleType) -> None:
        self.triggers.watch(module)
        if direct.knows(module.__name__):
            direct.watch(module)
        if pynccl.knows(module.__name__):
            pynccl.watch_library(module)
        for framework in FRAMEWORKS:
            if framework.knows(module.__name__):
                framework.wrap(module, self.triggers, self.backend)
