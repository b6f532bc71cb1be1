"""Sessions of torch.profiler, and what a window asks of the process that they run in."""

import contextlib
import os
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

# Kineto reads this at each session's end: "1" has CUPTI leave the process. Where it stays, each launch takes half
# as long again.
DETACH = "TEARDOWN_CUPTI"
DETACH_S = 1.0
INDUCTOR_GRAPHS = "TORCHINDUCTOR_CUDAGRAPHS"
TASKS = Path("/proc/self/task")
_has_context: Any = getattr(torch._C, "_cuda_hasPrimaryContext", None)


def of_profiler(settings: dict[str, Any], *, all_threads: bool) -> Any:
    """A session that is not started yet."""
    # Torch 2.5 knows no such option, so it is only named where it is wanted.
    experimental: Any = {"profile_all_threads": True} if all_threads else {}
    return profile(
        activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])],
        record_shapes=settings["shapes"],
        with_stack=settings["stacks"],
        profile_memory=settings["memory"],
        experimental_config=torch._C._profiler._ExperimentalConfig(**experimental),
    )


def knows_all_threads() -> bool:
    """Whether this torch has sessions over all threads."""
    try:
        torch._C._profiler._ExperimentalConfig(profile_all_threads=True)
    except TypeError:
        return False
    return True


def cuda_is_settled() -> bool:
    """Whether there is no CUDA, or the program chose its device; a session before that would take memory of GPU 0."""
    if not torch.cuda.is_available():
        return True
    started = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return started and bool(_has_context(torch.cuda.current_device()))


def gpu() -> str | None:
    """Its name; a program that left CUDA alone must not be given a context."""
    return torch.cuda.get_device_name() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]


def start(profiler: Any) -> None:
    """Start the session without a word."""
    with warnings.catch_warnings():
        # torch 2.11 warns of cycles, which a window that opens once has none of; a guest stays silent.
        warnings.simplefilter("ignore")
        with _inductor_left_alone():
            profiler.start()


class _WithoutInductor:
    """Torch to those who only ask whether its compiler is there."""

    def __getattr__(self, name: str) -> Any:
        if name == "_inductor":
            raise AttributeError(name)
        return getattr(torch, name)


@contextlib.contextmanager
def _inductor_left_alone() -> Iterator[None]:
    """A session's start asks torch's compiler whether it makes CUDA graphs, and so imports it, which takes seconds.

    It makes none in a program that has not imported it, unless the environment says so.
    """
    module: Any = sys.modules[profile.__module__]
    imported = "torch._inductor" in sys.modules or INDUCTOR_GRAPHS in os.environ
    if imported or getattr(module, "torch", None) is not torch:
        yield
        return
    module.torch = _WithoutInductor()
    try:
        yield
    finally:
        module.torch = torch


def warm_up(settings: dict[str, Any]) -> None:
    """Pay for the profiler's first start, and leave the process as it was, where that is safe."""
    profiler = of_profiler(settings, all_threads=False)
    start(profiler)
    # With CUDA graphs the way back crashes on CUDA 12 (torch.profiler says so), and worked on CUDA 13.0.
    started = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if not started or DETACH in os.environ or int((torch.version.cuda or "0").partition(".")[0]) < 13:
        profiler.stop()
        return
    others = set(TASKS.iterdir())
    os.environ[DETACH] = "1"
    try:
        profiler.stop()
    finally:
        del os.environ[DETACH]
    _detach(set(TASKS.iterdir()) - others)


def _detach(waiting: set[Path]) -> None:
    """Kineto's thread waits for a call of CUDA at whose end CUPTI may leave; if none came, the process never ended."""
    end = time.monotonic() + DETACH_S
    while any(thread.exists() for thread in waiting) and time.monotonic() < end:
        torch.cuda.current_stream().query()
        time.sleep(0.001)


def end_anyway() -> None:
    """End a session that failed to start or stop, or that Ctrl-C cut off: it would crash the interpreter at its end."""
    if torch.autograd.profiler._is_profiler_enabled:
        with contextlib.suppress(Exception):
            torch._C._autograd._disable_profiler()
        torch.autograd.profiler._is_profiler_enabled = False


def own_bytes() -> int:
    """Resident memory of this process that belongs to no file; the profiler's events are in it. 0 if not known."""
    try:
        _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    except OSError:
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
