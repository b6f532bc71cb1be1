"""What is known of frameworks, one file each; their modules are wrapped as they load."""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

from traceana_capture import direct
from traceana_capture.adapters import sglang_diffusion
from traceana_capture.pynccl import watch_library
from traceana_capture.triggers import Triggers

NCCL_MODULE = ".pynccl_wrapper"


def owns_window() -> bool:
    """Whether a framework with requests of its own is at work in this process."""
    return sglang_diffusion.WORKER in sys.modules


def watch_imports(triggers: Triggers, backend: str) -> None:
    """Wrap the frameworks' methods, and the functions that the triggers name, as their modules load."""
    for name in triggers.modules & sys.modules.keys():
        triggers.watch(sys.modules[name])
    sys.meta_path.insert(0, _Finder(triggers, backend))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, triggers: Triggers, backend: str) -> None:
        self.triggers = triggers
        self.backend = backend

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        known = fullname in sglang_diffusion.MODULES or fullname.endswith(NCCL_MODULE) or direct.suffix(fullname)
        if not known and fullname not in self.triggers.modules:
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
        if direct.suffix(module.__name__):
            direct.watch(module)
        if module.__name__.endswith(NCCL_MODULE):
            watch_library(module)
        elif module.__name__ == sglang_diffusion.COORDINATOR:
            sglang_diffusion.choose_backend(module, self.backend)
        elif module.__name__ in sglang_diffusion.SPANS:
            sglang_diffusion.add_spans(module, self.triggers)
