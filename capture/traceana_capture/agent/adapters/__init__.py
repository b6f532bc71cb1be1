"""What is known of frameworks, one file each; their modules are wrapped as they load."""

import functools
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from traceana_capture.agent import direct, pynccl
from traceana_capture.agent.adapters import diffusers, optimizer, plug_ins, sglang_diffusion, sglang_srt, vllm
from traceana_capture.agent.adapters.hooks import Refusal
from traceana_capture.agent.triggers import Triggers

FRAMEWORKS = (sglang_diffusion, sglang_srt, vllm, diffusers, optimizer, plug_ins)
# Modules of processes whose work are requests.
WORKERS = frozenset({sglang_diffusion.WORKER, sglang_srt.SCHEDULER, vllm.WORKER})


def has_requests() -> bool:
    """Whether a framework is at work in this process whose work begins with the first request."""
    return not sys.modules.keys().isdisjoint(WORKERS)


def watch_imports(triggers: Triggers, backend: str) -> None:
    """Wrap the frameworks' methods, and the functions that the triggers name, as their modules load."""
    finder = _Finder(triggers, backend)
    for name, module in list(sys.modules.items()):
        if finder.wraps(name):
            _when_loaded(module, functools.partial(finder.wrap, module))
    sys.meta_path.insert(0, finder)


def _when_loaded(module: ModuleType, wrap: Callable[[], None]) -> None:
    """Wrap the module's functions; one that imports torch itself is only being loaded now, and has none yet."""
    spec = module.__spec__
    if spec is not None and getattr(spec, "_initializing", False):
        spec.__class__ = _Loading
        spec.__dict__["loaded"] = wrap
    else:
        wrap()


class _Loading(importlib.machinery.ModuleSpec):
    """The specification of a module that is being loaded; importlib says so when it is done."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "_initializing" and not value:
            loaded = self.__dict__.pop("loaded")
            self.__class__ = importlib.machinery.ModuleSpec  # type: ignore[assignment]
            if self.name in sys.modules:
                loaded()


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, triggers: Triggers, backend: str) -> None:
        self.triggers = triggers
        self.backend = backend
        self.knows = (direct.knows, pynccl.knows, *(framework.knows for framework in FRAMEWORKS))

    def wraps(self, name: str) -> bool:
        """Whether there is something to wrap in the module of this name."""
        return name in self.triggers.modules or any(knows(name) for knows in self.knows)

    def wrap(self, module: ModuleType) -> None:
        """Wrap what is to be wrapped in the module; raises Refusal where a backend cannot be chosen."""
        try:
            self._wrap(module)
        except Refusal:
            raise
        except Exception as error:
            sys.stderr.write(f"traceana: {module.__name__} is not as we know it, so calls may be missing: {error!r}\n")

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not self.wraps(fullname):
            return None
        spec = self._found(fullname, path, target)
        loader: Any = spec.loader if spec is not None else None
        # The loader of a module that is built in is a class, which all of them share.
        if isinstance(loader, type) or not hasattr(loader, "exec_module"):
            return spec
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self.wrap(module)

        loader.exec_module = exec_module
        return spec

    def _found(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> importlib.machinery.ModuleSpec | None:
        """What the program would have found without us."""
        finders = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        specs = (finder.find_spec(fullname, path, target) for finder in finders)
        return next((spec for spec in specs if spec is not None), None)

    def _wrap(self, module: ModuleType) -> None:
        self.triggers.watch(module)
        if direct.knows(module.__name__):
            direct.watch(module)
        if pynccl.knows(module.__name__):
            pynccl.watch_library(module)
        for framework in FRAMEWORKS:
            if framework.knows(module.__name__):
                framework.wrap(module, self.triggers, self.backend)
