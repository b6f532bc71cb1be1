"""Who this process is to the launcher: a rank of a process group, or a program by itself, such as one on one GPU."""

import functools
import os
import platform
import socket
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from traceana_capture.agent import rank, sigterm
from traceana_capture.agent.control import Control
from traceana_capture.agent.window import Window

FRAMEWORKS = {"sglang", "vllm", "diffusers"}


def say_hello_after_init(control: Control, window: Window, take: Callable[[dict[str, Any]], None]) -> None:
    """Tell the launcher of the rank when its process group is there, or when a program by itself reaches its work.

    Its orders come to `take`.
    """

    def hello() -> bool:
        if not control.connect(take):
            return False
        control.send(event="hello", host=socket.gethostname(), versions=versions(), **rank.facts())
        sigterm.watch(window.close)
        return True

    original = dist.init_process_group

    @functools.wraps(original)
    def init_process_group(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        try:
            if hello():
                window.warm_up()
            else:
                window.retire()
        except Exception as error:
            sys.stderr.write(f"traceana: process {os.getpid()} will not be recorded: {error!r}\n")
        return result

    window.introduce = hello
    # A mesh of devices makes the default group too, by a name of its own.
    modules: tuple[Any, ...] = (dist, dist.distributed_c10d, dist.device_mesh)
    for module in modules:
        if hasattr(module, "init_process_group"):
            module.init_process_group = init_process_group


def versions() -> dict[str, str]:
    """Versions of what runs here."""
    nccl: Any = torch.cuda.nccl
    found = {"torch": str(torch.__version__), "python": platform.python_version()}
    if torch.version.cuda is not None:
        found["cuda"] = str(torch.version.cuda)
        found["nccl"] = ".".join(str(part) for part in nccl.version())
    for name in FRAMEWORKS & sys.modules.keys():
        version = getattr(sys.modules[name], "__version__", None)
        if version is not None:
            found[name] = str(version)
    return found
