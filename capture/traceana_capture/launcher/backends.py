"""Which backend was asked to carry the collectives, and which one the traces show."""

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from traceana import plug_ins
from traceana.errors import TraceanaError
from traceana.kernels import Kind, classify
from traceana_capture.agent.choices import CHOICES, MAKING
from traceana_capture.launcher.options import PAIR, Pairing

TORCH, PYNCCL = CHOICES["torch"].title, CHOICES["pynccl"].title
# Those whose kernels are NCCL's, so that only the call tells whose they are.
NCCL_CALLERS = (TORCH, PYNCCL)
GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
NCCL = "NCCL"


def carrier(kernel: str) -> str | None:
    """What carries the collective that this kernel belongs to, or None."""
    kind = classify(kernel, "kernel", plug_ins.kernels().patterns)
    if kind.kind is not Kind.COMMUNICATION:
        return None
    # RCCL's kernels are named as NCCL's, and both carry what several backends issue.
    return kind.backend or (NCCL if kind.library in ("nccl", "rccl") else kind.library)


def environment(asked: str) -> dict[str, str]:
    """Variables of the command that turn the backend on, and other ways off."""
    return dict(CHOICES[asked].variables) if asked in CHOICES else {}


def check_machine(asked: str, paired: Sequence[Pairing], ranks: Sequence[int] = ()) -> None:
    """Raise TraceanaError when the backend, or a pair of backends, cannot run on this machine, or for these ranks."""
    if paired and ranks:
        raise TraceanaError("--paired needs all ranks, because they exchange the extra calls too; leave --ranks out")
    if paired and asked not in PAIR:
        raise TraceanaError(
            f"--paired copies the calls that the program makes by torch.distributed, which some are not with {asked}; "
            "add --backend torch or --backend pynccl, whichever backends it is to hold against each other"
        )
    needed = paired or (asked in CHOICES and CHOICES[asked].needs_gpu)
    if needed and not any(Path(device).exists() for device in GPU_DEVICES):
        option = "--paired" if paired else f"--backend {asked}"
        raise TraceanaError(f"{option} needs a GPU, and this machine has none; use --backend torch alone")


def check_program(asked: str, argv: Sequence[str], paired: Sequence[Pairing] = ()) -> None:
    """Raise TraceanaError when the command's Python, where that is known, has no framework with these backends."""
    choice = CHOICES.get(asked)
    python = _python(argv[0]) if paired or (choice is not None and choice.sources) else None
    if choice is None or python is None:
        return
    _check_pairs(python, paired)
    folders = _folders(python, choice.frameworks) if choice.sources else None
    if folders is None or any(_names(folders, module, word) for module, word in choice.sources):
        return
    one = " or ".join(choice.frameworks)
    if not folders:
        raise TraceanaError(f"the backend {asked} needs {one} in the command's Python, and {python} has none")
    lacks = "; ".join(
        f"no {word} in {module}" for module, word in choice.sources if module.partition(".")[0] in folders
    )
    raise TraceanaError(f"the {' and '.join(folders)} of {python} cannot do --backend {asked}: {lacks}")


def _check_pairs(python: str, paired: Sequence[Pairing]) -> None:
    """Raise TraceanaError where the Python's sglang has none of a pair's ways in its diffusion runtime."""
    folders = _folders(python, ("sglang",)) if paired else None
    if folders is None:
        return
    for name in dict.fromkeys(name for pairing in paired for name in pairing.backends):
        module, word = CHOICES[name].pairs_by
        if not folders:
            raise TraceanaError(f"--paired needs sglang in the command's Python, and {python} has none")
        if not _names(folders, module, word):
            raise TraceanaError(f"the sglang of {python} cannot pair calls on {name}: no {word} in {module}")


def _folders(python: str, packages: Sequence[str]) -> dict[str, Path] | None:
    """Where a Python has these packages, which it does not import; None where it does not say."""
    code = (
        f"import importlib.util as u, json; s = {{n: u.find_spec(n) for n in {tuple(packages)!r}}}; "
        "print(json.dumps({n: x.submodule_search_locations[0] for n, x in s.items() if x}))"
    )
    said = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout
    try:
        return {name: Path(folder) for name, folder in json.loads(said.splitlines()[-1]).items()}
    except (IndexError, ValueError, AttributeError):
        return None


def _names(folders: Mapping[str, Path], module: str, word: str) -> bool:
    """Whether the module is there and its source holds the word."""
    package, *rest = module.split(".")
    try:
        return package in folders and word in folders[package].joinpath(*rest).with_suffix(".py").read_text("utf-8")
    except (OSError, ValueError):
        return False


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
    """The backends that the annotated events show; on a GPU only kernels count, because gloo also carries objects.

    What a framework sends to try a communicator that it makes is not what was asked for, and tells nothing.
    """
    kernels = [event for event in events if event.get("cat") == "kernel"]
    names = (_backend(event) for event in kernels or events)
    return {name for name in names if name is not None}


def _backend(event: dict[str, Any]) -> str | None:
    args = event.get("args", {})
    if MAKING in args:
        return None
    if "Collective name" in args:
        return str(args.get("traceana backend", TORCH))
    found = carrier(str(event.get("name"))) if event.get("cat") == "kernel" else None
    return "unknown NCCL caller" if found == NCCL else found


def mismatch(asked: str, adapters: list[str], found: set[str]) -> str | None:
    """Why the traces do not show what was asked for, or None."""
    choice = CHOICES.get(asked)
    if choice is None:
        return None
    if not adapters:
        return f"--backend {asked} changed nothing: the window saw no framework that we have an adapter for"
    shown = ", ".join(sorted(found))
    if choice.every_call and found - {choice.title}:
        return f"--backend {asked} was asked for, but the traces show {shown}"
    if found and choice.title not in found:
        return f"--backend {asked} was asked for, but carried no call: the traces show {shown}"
    return None if found else f"--backend {asked} was asked for, but the traces show no collective"
