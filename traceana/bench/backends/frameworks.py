"""Classes of sglang, vLLM and flashinfer, where these are installed; else the reason in words."""

import importlib
import os
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from traceana.bench.backends import Unavailable
from traceana.bench.world import World

_NO_MULTICAST = (("TORCH_SYMM_MEM_DISABLE_MULTICAST", "1"), ("NVSHMEM_DISABLE_NVLS", "1"), ("NCCL_NVLS_ENABLE", "0"))


def installed(package: str) -> bool:
    """Whether Python finds the package; importing it may fail still."""
    return find_spec(package) is not None


def found(module: str, name: str) -> Any:
    """A class or function of a framework. Raises Unavailable where it cannot be imported."""
    package = module.partition(".")[0]
    if not installed(package):
        raise Unavailable(f"{package} is not installed")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:
        raise Unavailable(f"{package} {release(package)} has no {module}.{name} here ({first_line(error)})") from error


def made(world: World, module: str, name: str, *arguments: object) -> Any:
    """One of the framework's objects on this rank. Raises Unavailable where a rank cannot make it."""
    problem = None
    try:
        thing = found(module, name)(*arguments)
    except Unavailable as reason:
        problem = str(reason)
    except Exception as error:
        problem = f"{name} of {module.partition('.')[0]} cannot be made ({first_line(error)})"
    if world.anywhere(problem is not None):
        raise Unavailable(problem or "another rank cannot make it")
    return thing


def release(package: str) -> str:
    """The version that its metadata states."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"


def need_gpus(world: World, what: str) -> None:
    """Raises Unavailable on CPUs."""
    if not world.on_gpu:
        raise Unavailable(f"{what} needs a GPU for each rank of a host; there are fewer here")


def need_multicast() -> None:
    """Raises Unavailable where a variable forbids NVLink multicast: who shares the fabric may have a reason."""
    for name, value in _NO_MULTICAST:
        if os.environ.get(name) == value:
            raise Unavailable(f"it uses NVLink multicast, which {name}={value} forbids here")


def first_line(error: Exception) -> str:
    """Its class and the first line of what it says."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
