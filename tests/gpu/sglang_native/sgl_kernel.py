"""Stands in for sglang's compiled package where it is not installed: names to import, and none that may be called.

Any submodule can be imported as well (`from sgl_kernel.quantization import …`).
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

import torch

__path__: list[str] = []  # A package, whose submodules the finder below makes.
_LIBRARY: Any = torch.library.Library("sgl_kernel", "FRAGMENT")  # type: ignore[no-untyped-call]
# The one operator that the native paths of a Wan pipeline call on a CPU.
_LIBRARY.define("fused_scale_shift_cpu(Tensor x, Tensor scale, Tensor shift, float constant) -> Tensor")
_LIBRARY.impl(
    "fused_scale_shift_cpu",
    lambda x, scale, shift, constant: (x * (constant + scale) + shift).to(x.dtype),
    "CompositeImplicitAutograd",
)


class Missing:
    """A function, a type or a table of these that is not installed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> "Missing":
        if name.startswith("__"):
            raise AttributeError(name)
        return Missing(f"{self._name}.{name}")

    def __or__(self, _: object) -> "Missing":  # Annotations are evaluated at import.
        return self

    def __call__(self, *_: object, **__: object) -> NoReturn:
        raise RuntimeError(f"sgl_kernel's {self._name} is not installed, and no native path was taken around it")


def __getattr__(name: str) -> Missing:
    if name.startswith("__"):
        raise AttributeError(name)
    return Missing(name)


class Submodules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes sgl_kernel.ANY: a module that has every name, as this one."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for submodules of sgl_kernel, None for others."""
        if not fullname.startswith(__name__ + "."):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module."""
        module.__getattr__ = __getattr__  # type: ignore[method-assign]


sys.meta_path.append(Submodules())
