"""Which backend was asked to carry the collectives, and which one the traces show."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from traceana import plug_ins
from traceana.errors import TraceanaError
from traceana.kernels import Kind, classify

ASKED = {"torch": "torch.distributed", "pynccl": "pynccl"}
GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
# Sglang's diffusion runtime prefers CUDA IPC to both backends unless it is told not to.
NO_IPC = ("SGLANG_DIFFUSION_IPC_A2A", "SGLANG_DIFFUSION_IPC_A2A_MULTI", "SGLANG_DIFFUSION_ULYSSES_PIPELINE_GROUPS")
NCCL = "NCCL"


def carrier(kernel: str) -> str | None:
    """What carries the collective that this kernel belongs to, or None."""
    kind = classify(kernel, "kernel", plug_ins.kernels().patterns)
    if kind.kind is not Kind.COMMUNICATION:
        return None
    # RCCL's kernels are named as NCCL's, and both carry what several backends issue.
    return kind.backend or (NCCL if kind.library in ("nccl", "rccl") else kind.library)


# VLLM's other ways, and its switch of PyNccl.
NO_VLLM = (
    "VLLM_ALLREDUCE_USE_SYMM_MEM",
    "VLLM_ALLREDUCE_USE_FLASHINFER",
    "VLLM_ALLREDUCE_USE_FLASHINFER_PCIE_IPC",
)
VLLM_PYNCCL = "VLLM_DISABLE_PYNCCL"
# Those whose PyNccl adapters know.
FRAMEWORKS = ("sglang", "vllm")


def environment(asked: str) -> dict[str, str]:
    """Variables of the command that keep other ways out of the backend's way."""
    if asked == "asis":
        return {}
    return {**dict.fromkeys((*NO_IPC, *NO_VLLM), "0"), VLLM_PYNCCL: "1" if asked == "torch" else "0"}


def check_machine(asked: str, paired: Sequence[str], ranks: Sequence[int] = ()) -> None:
    """Raise TraceanaError when the backend, or a pair of backends, cannot run on this machine, or for these ranks."""
    if paired and ranks:
        raise TraceanaError("--paired needs all ranks, because they exchange the extra calls too; leave --ranks out")
    if paired and asked == "asis":
        raise TraceanaError("--paired needs to know the program's own backend; add --backend torch or --backend pynccl")
    if (paired or asked == "pynccl") and not any(Path(device).exists() for device in GPU_DEVICES):
        option = "--paired" if paired else "--backend pynccl"
        raise TraceanaError(f"{option} needs a GPU, and this machine has none; use --backend torch alone")


def check_program(asked: str, argv: Sequence[str]) -> None:
    """Raise TraceanaError when the command's Python, where that is known, has no framework with PyNccl."""
    python = _python(argv[0]) if asked == "pynccl" else None
    if python is None:
        return
    code = f"import importlib.util as u; print(*[n for n in {FRAMEWORKS} if u.find_spec(n)], 'asked')"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout.split()
    if found == ["asked"]:
        raise TraceanaError(
            f"the backend pynccl needs {' or '.join(FRAMEWORKS)} in the command's Python, and {python} has neither"
        )


def _python(command: str) -> str | None:
    """The Python that a command is, or that its first line names; None where that does not tell."""
    path = shutil.which(command)
    if path is None or re.fullmatch(r"python[\d.]*", Path(path).name):
        return path
    with contextlib.suppress(OSError), Path(path).open("rb") as file:
        line = file.readline(256)
        if line.startswith(b"#!") and b"python" in line:
            return shutil.which(os.fsdecode(line[2:].split()[0]))
    return None


def seen(events: list[dict[str, Any]]) -> set[str]:
    """The backends that the annotated events show; on a GPU only kernels count, because gloo also carries objects."""
    kernels = [event for event in events if event.get("cat") == "kernel"]
    names = (_backend(event) for event in kernels or events)
    return {name for name in names if name is not None}


def _backend(event: dict[str, Any]) -> str | None:
    args = event.get("args", {})
    if "Collective name" in args:
        return str(args.get("traceana backend", ASKED["torch"]))
    found = carrier(str(event.get("name"))) if event.get("cat") == "kernel" else None
    return "unknown NCCL caller" if found == NCCL else found


def mismatch(asked: str, adapters: list[str], found: set[str]) -> str | None:
    """Why the traces do not show what was asked for, or None."""
    if asked == "asis":
        return None
    if not adapters:
        return f"--backend {asked} changed nothing: the window saw no framework that we have an adapter for"
    if found - {ASKED[asked]}:
        return f"--backend {asked} was asked for, but the traces show {', '.join(sorted(found))}"
    return None if found else f"--backend {asked} was asked for, but the traces show no collective"
