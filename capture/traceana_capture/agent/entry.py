"""What runs in every process of the command that imports torch: torch's `torch.backends` entry point calls `start`."""

import atexit
import functools
import json
import os
import platform
import socket
import sys
from typing import Any

VARIABLE = "TRACEANA_CAPTURE"
FRAMEWORKS = {"sglang", "vllm", "diffusers"}
_started = False


def start() -> None:
    """Prepare this process; does nothing without the variable, or the second time. Never raises into the program."""
    global _started
    if _started or VARIABLE not in os.environ:
        return
    _started = True
    try:
        _prepare(json.loads(os.environ[VARIABLE]))
    except Exception as error:
        sys.stderr.write(f"traceana: process {os.getpid()} will not be recorded: {error!r}\n")


def _prepare(settings: dict[str, Any]) -> None:
    import torch
    import torch.distributed as dist

    from traceana_capture.agent import adapters, c10d, direct, group_names, kills, sigterm
    from traceana_capture.agent.call_notes import CALLS
    from traceana_capture.agent.control import Control
    from traceana_capture.agent.paired import PAIRS
    from traceana_capture.agent.triggers import Triggers
    from traceana_capture.agent.window import Window

    if not dist.is_available():
        return
    control = Control(settings["socket"])
    window = Window(settings, control)
    triggers = Triggers(settings, window, adapters.has_requests)

    # What closes a window comes before what opens one, lest a failure in between leave a window that nothing closes.
    _close_before_exit(dist, window)
    _give_way(torch, window)
    _hold_during_graphs(torch, window)
    kills.hold_back(settings["workdir"])
    for forget in (sigterm.forget, window.forget, control.forget):
        os.register_at_fork(after_in_child=forget)
    c10d.watch_c10d()
    direct.watch_symmetric_memory()
    group_names.watch_meshes()
    _hello_after_init(torch, dist, control, window)
    PAIRS.choose(settings["paired"])
    PAIRS.held = window.held
    adapters.watch_imports(triggers, settings["backend"])
    CALLS.before = triggers.collective
    triggers.listen()
    os.register_at_fork(after_in_child=triggers.listen)


def _hello_after_init(torch: Any, dist: Any, control: Any, window: Any) -> None:
    from traceana_capture.agent import sigterm

    original = dist.init_process_group

    @functools.wraps(original)
    def init_process_group(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        try:
            hello()
        except Exception as error:
            sys.stderr.write(f"traceana: process {os.getpid()} will not be recorded: {error!r}\n")
        return result

    def hello() -> None:
        control.connect(window.close)
        facts = {"rank": dist.get_rank(), "world_size": dist.get_world_size(), "backend": dist.get_backend()}
        control.send(event="hello", host=socket.gethostname(), versions=_versions(torch), **facts)
        sigterm.watch(window.close)
        window.warm_up()

    # A mesh of devices makes the default group too, by a name of its own.
    for module in (dist, dist.distributed_c10d, dist.device_mesh):
        if hasattr(module, "init_process_group"):
            module.init_process_group = init_process_group


def _versions(torch: Any) -> dict[str, str]:
    """Versions of what runs here."""
    versions = {"torch": str(torch.__version__), "python": platform.python_version()}
    if torch.version.cuda is not None:
        versions["cuda"] = str(torch.version.cuda)
        versions["nccl"] = ".".join(str(part) for part in torch.cuda.nccl.version())
    for name in FRAMEWORKS & sys.modules.keys():
        version = getattr(sys.modules[name], "__version__", None)
        if version is not None:
            versions[name] = str(version)
    return versions


def _close_before_exit(dist: Any, window: Any) -> None:
    """An interpreter that ends with a profiler active dies with SIGSEGV (pytorch#195837), so every way out closes."""
    from traceana_capture.agent.call_notes import forget_groups

    destroy, leave = dist.destroy_process_group, os._exit

    @functools.wraps(destroy)
    def destroy_process_group(group: Any = None) -> Any:
        if group in (None, dist.group.WORLD):
            window.close("the process group ended")
        forget_groups()
        return destroy(group)

    @functools.wraps(leave)
    def _exit(status: int) -> Any:
        try:
            window.leave()
        finally:
            leave(status)

    dist.destroy_process_group = dist.distributed_c10d.destroy_process_group = destroy_process_group
    # Children of fork and forkserver leave through os._exit and never run atexit.
    os._exit = _exit
    atexit.register(window.leave)


def _give_way(torch: Any, window: Any) -> None:
    """Close ours before the program's own profiler starts."""
    kind = torch.autograd.profiler.profile
    prepare = kind._prepare_trace

    @functools.wraps(prepare)
    def _prepare_trace(self: Any) -> Any:
        ours = window.profiler
        if ours is not None and getattr(ours, "profiler", None) is not self:
            window.close("the program started its own profiler")
        return prepare(self)

    kind._prepare_trace = _prepare_trace


def _hold_during_graphs(torch: Any, window: Any) -> None:
    """Hold the window's start and end back while a CUDA graph is captured, which both would break."""
    from traceana_capture.agent.call_notes import CALLS

    graph = torch.cuda.CUDAGraph
    begin, end = graph.capture_begin, graph.capture_end

    def over() -> None:
        CALLS.end_graph()
        window.release()

    @functools.wraps(begin)
    def capture_begin(self: Any, *args: Any, **kwargs: Any) -> Any:
        window.hold()
        CALLS.begin_graph()
        try:
            return begin(self, *args, **kwargs)
        except BaseException:
            over()
            raise

    @functools.wraps(end)
    def capture_end(self: Any) -> Any:
        try:
            return end(self)
        finally:
            over()

    graph.capture_begin, graph.capture_end = capture_begin, capture_end
