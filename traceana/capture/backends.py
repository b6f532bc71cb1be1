"""Which backend was asked to carry the collectives, and which one the traces show."""

from pathlib import Path
from typing import Any

from traceana.errors import TraceanaError

ASKED = {"torch": "torch.distributed", "pynccl": "pynccl"}
GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
# Sglang's diffusion runtime prefers CUDA IPC to both backends unless it is told not to.
NO_IPC = ("SGLANG_DIFFUSION_IPC_A2A", "SGLANG_DIFFUSION_IPC_A2A_MULTI", "SGLANG_DIFFUSION_ULYSSES_PIPELINE_GROUPS")
# Kernels of collectives that neither backend issued; the first match decides.
OTHERS = {
    "spin_wait_kernel": "CUDA IPC",
    "bump_signal_kernel": "CUDA IPC",
    "cross_device_reduce": "custom all-reduce",
    "all_reduce_1shot": "custom all-reduce",
    "all_reduce_2shot": "custom all-reduce",
}


def environment(asked: str) -> dict[str, str]:
    """Variables of the command that keep other ways out of the backend's way."""
    return {} if asked == "asis" else dict.fromkeys(NO_IPC, "0")


def check_machine(asked: str) -> None:
    """Raise TraceanaError when this machine cannot run the backend."""
    if asked == "pynccl" and not any(Path(device).exists() for device in GPU_DEVICES):
        raise TraceanaError("--backend pynccl needs a GPU, and this machine has none; use --backend torch")


def seen(events: list[dict[str, Any]]) -> set[str]:
    """The backends that the annotated events show; on a GPU only kernels count, because gloo also carries objects."""
    kernels = [event for event in events if event.get("cat") == "kernel"]
    names = (_backend(event) for event in kernels or events)
    return {name for name in names if name is not None}


def _backend(event: dict[str, Any]) -> str | None:
    args = event.get("args", {})
    if "Collective name" in args:
        return str(args.get("traceana backend", ASKED["torch"]))
    name = str(event.get("name"))
    if event.get("cat") == "kernel" and "nccl" in name.lower():
        return "unknown NCCL caller"
    return next((other for part, other in OTHERS.items() if part in name), None)


def mismatch(asked: str, adapters: list[str], found: set[str]) -> str | None:
    """Why the traces do not show what was asked for, or None."""
    if asked == "asis":
        return None
    if not adapters:
        return f"--backend {asked} changed nothing: the window saw no framework that we have an adapter for"
    if found - {ASKED[asked]}:
        return f"--backend {asked} was asked for, but the traces show {', '.join(sorted(found))}"
    return None if found else f"--backend {asked} was asked for, but the traces show no collective"
