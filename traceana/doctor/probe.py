"""What one interpreter has, printed as JSON.

The command's own Python runs it as a file, so it has the standard library and torch only.
"""

import contextlib
import importlib.metadata
import json
import os
import platform
import sys
from typing import Any

FRAMEWORKS = ("sglang", "vllm", "diffusers")
NCCL_WHEELS = ("nvidia-nccl-cu13", "nvidia-nccl-cu12")
# By these vLLM's and sglang's PyNccl take another library than torch's.
NCCL_PATHS = ("VLLM_NCCL_SO_PATH", "SGLANG_NCCL_SO_PATH")


def facts() -> dict[str, Any]:
    """All of it; `torch` is None where it cannot be imported, and `error` says why."""
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "packages": {name: version for name in (*FRAMEWORKS, *NCCL_WHEELS) if (version := _version(name))},
        "nccl_paths": {name: os.environ[name] for name in NCCL_PATHS if os.environ.get(name)},
    }
    try:
        import torch
        import torch.distributed as dist
    except (ImportError, OSError) as error:
        return {**found, "torch": None, "error": str(error)}
    on_gpu = torch.cuda.is_available()
    return {
        **found,
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "gpus": torch.cuda.device_count() if on_gpu else 0,
        "distributed": dist.is_available(),
        "nccl": _nccl(torch) if on_gpu and dist.is_nccl_available() else None,
        "kernels": _kernels(torch) if on_gpu else None,
    }


def _version(name: str) -> "str | None":
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return None


def _nccl(torch: Any) -> str:
    return ".".join(map(str, torch.cuda.nccl.version()))


def _kernels(torch: Any) -> int:
    """How many kernels torch's profiler sees of a product that certainly runs one."""
    matrix = torch.ones(64, 64, device="cuda")
    torch.mm(matrix, matrix)
    torch.cuda.synchronize()
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        torch.mm(matrix, matrix)
        torch.cuda.synchronize()
    return sum(event.device_type == torch.autograd.DeviceType.CUDA for event in profiler.events())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(facts()) + "\n")
