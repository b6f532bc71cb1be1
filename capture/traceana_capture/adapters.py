"""Spans of sglang's diffusion runtime (0.5.23): request, stage, denoising step and Ulysses attention."""

import functools
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from traceana_capture.pynccl import watch_library

NCCL_MODULE = ".pynccl_wrapper"
RUNTIME = "sglang.multimodal_gen.runtime."


def denoise_step(_self: Any, _ctx: Any, step: Any, *_: Any, **__: Any) -> str:
    """The span's name; sglang passes an object that holds the index."""
    return f"denoise_step {step.step_index}"


# module -> (class, method, name of the span)
SPANS: dict[str, list[tuple[str, str, Callable[..., str]]]] = {
    RUNTIME + "managers.gpu_worker": [("GPUWorker", "execute_forward", lambda *_, **__: "request")],
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


def owns_window() -> bool:
    """Whether a framework with requests of its own is at work in this process."""
    return RUNTIME + "managers.gpu_worker" in sys.modules


def watch_imports(opens: Callable[[], None]) -> None:
    """Wrap the framework's methods as their modules load; `opens` runs before a request."""
    sys.meta_path.insert(0, _Finder(opens))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, opens: Callable[[], None]) -> None:
        self.opens = opens

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in SPANS and not fullname.endswith(NCCL_MODULE):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _wrap(module, self.opens)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _wrap(module: ModuleType, opens: Callable[[], None]) -> None:
    if module.__name__.endswith(NCCL_MODULE):
        watch_library(module)
        return
    for owner, method, name in SPANS[module.__name__]:
        kind = getattr(module, owner, None)
        original = getattr(kind, method, None)
        if original is None:
            sys.stderr.write(f"traceana: {module.__name__}.{owner}.{method} is missing, so its spans are\n")
            continue
        setattr(kind, method, _spanned(original, name, opens if method == "execute_forward" else None))


def _spanned(original: Any, name: Callable[..., str], opens: Callable[[], None] | None) -> Any:
    import torch

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        if opens is not None and not getattr(args[1] if len(args) > 1 else None, "is_warmup", False):
            opens()
        with torch.profiler.record_function(name(*args, **kwargs)):
            return original(*args, **kwargs)

    return call
