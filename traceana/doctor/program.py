"""What the Python of a command has: torch, NCCL, the profiler, the frameworks that capture knows."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from traceana_capture.agent import frameworks

from traceana.doctor import probe
from traceana.doctor.findings import Finding, failure, ok, unknown, warning
from traceana.errors import TraceanaError
from traceana.needs import INSTALL

_LIMIT_S = 120
_OLDEST_TORCH = (2, 5)
_ISOLATING = ("-I", "-E", "-S")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What `probe` prints."""

    python: str
    packages: dict[str, str]
    nccl_paths: dict[str, str]
    torch: str | None
    error: str | None = None
    cuda: str | None = None
    gpus: int = 0
    distributed: bool = False
    nccl: str | None = None
    kernels: int | None = None


def checked(argv: Sequence[str]) -> list[Finding]:
    """Checks of the command's Python, or of this one where there is no command. Raises TraceanaError."""
    if not argv:
        return findings(asked(sys.executable))
    found = shutil.which(argv[0])
    if found is None:
        advice = "check its spelling, and whether its environment is activated"
        return [failure("command", f"{argv[0]}: there is no such program on PATH", advice)]
    python = interpreter(Path(found))
    if python is None:
        advice = "capture reaches every Python below it that imports torch; name the Python program to check that too"
        return [unknown("command", f"{found} is no Python program, so its Python is not known", advice)]
    return [*_reached(argv, python), *findings(asked(python))]


def interpreter(program: Path) -> str | None:
    """The Python that runs `program`: itself, or the one of its first line; None where that is none."""
    if program.name.startswith("python"):
        return str(program)
    with program.open("rb") as file:
        first = file.readline(4096)
    if not first.startswith(b"#!"):
        return None
    words = first[2:].decode(errors="replace").split()
    words = words[1:] if words and Path(words[0]).name == "env" else words
    named = next((word for word in words if not word.startswith("-")), "")
    return shutil.which(named) if Path(named).name.startswith("python") else None


def asked(python: str) -> Facts:
    """What this Python says of itself. Raises TraceanaError where it says nothing."""
    argv = [python, str(probe.__file__)]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise TraceanaError(f"{python} did not import torch within {_LIMIT_S} s") from error
    try:
        return msgspec.json.decode(done.stdout.splitlines()[-1], type=Facts)
    except (IndexError, msgspec.MsgspecError) as error:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise TraceanaError(f"{shlex.join(argv)} ended with {done.returncode}: {said[-1] if said else ''}") from error


def _reached(argv: Sequence[str], python: str) -> list[Finding]:
    isolating = [word for word in argv[1:] if word in _ISOLATING]
    if isolating and Path(argv[0]).name.startswith("python"):
        what = f"python {isolating[0]} passes over PYTHONPATH, by which capture comes in"
        return [failure("command", what, f"leave {isolating[0]} out")]
    return [ok("command", f"runs with {python}")]


def findings(facts: Facts) -> list[Finding]:
    """What stands in the way of capture and of figures that mean what they seem."""
    if facts.torch is None:
        advice = f"in that environment: {INSTALL}; or name the command that has it: doctor -- CMD"
        return [failure("torch", f"Python {facts.python} has no torch: {facts.error}", advice)]
    return [_torch(facts), *_nccl(facts), _profiler(facts), *_frameworks(facts)]


def _torch(facts: Facts) -> Finding:
    seen = f"{facts.torch} on Python {facts.python}, CUDA {facts.cuda or 'not built in'}"
    if not facts.distributed:
        return failure("torch", f"{seen}: built without torch.distributed", "install one of torch's own wheels")
    if tuple(int(part) for part in str(facts.torch).split("+")[0].split(".")[:2]) < _OLDEST_TORCH:
        return failure(
            "torch", f"{seen}: capture comes in by a door that torch has since 2.5", "install torch 2.5 or newer"
        )
    if facts.cuda and not facts.gpus and Path("/dev/nvidiactl").exists():
        return failure(
            "torch", f"{seen}, but it sees no GPU", "compare its CUDA with the driver's; see CUDA_VISIBLE_DEVICES"
        )
    return ok("torch", seen)


def _nccl(facts: Facts) -> list[Finding]:
    if not facts.gpus:
        return []
    if facts.nccl is None:
        return [failure("NCCL", "this torch has no NCCL", "install a torch that was built with it")]
    wheels = {name: version for name, version in facts.packages.items() if name in probe.NCCL_WHEELS}
    others = [
        f"{name} {version}" for name, version in wheels.items() if version.split(".")[:3] != facts.nccl.split(".")
    ]
    others += [f"{name}={path}" for name, path in facts.nccl_paths.items()]
    if others:
        advice = "a comparison of torch with PyNccl compares two versions of NCCL too: let both take the same"
        return [warning("NCCL", f"torch has {facts.nccl}; PyNccl may take another: {', '.join(others)}", advice)]
    return [ok("NCCL", f"{facts.nccl}, for torch and PyNccl alike")]


def _profiler(facts: Facts) -> Finding:
    if facts.kernels is None:
        return ok("profiler", "no GPU to profile: traces hold the host's operators and gloo's calls")
    if facts.kernels:
        return ok("profiler", "CUPTI gives torch's profiler the GPU's kernels")
    advice = "end Nsight Systems or another profiler that holds CUPTI; in a container, see that libcupti is there"
    return failure("profiler", "torch's profiler sees no kernel of a product that runs one (CUPTI)", advice)


def _frameworks(facts: Facts) -> list[Finding]:
    found = []
    for name in probe.FRAMEWORKS:
        version = facts.packages.get(name)
        if version is None:
            continue
        if version in frameworks.TRIED[name]:
            found.append(ok(name, f"{version}, with which capture was tried"))
        else:
            advice = "capture looks for each function that it needs, and names those that are not there"
            found.append(
                warning(name, f"{version}; capture was tried with {', '.join(frameworks.TRIED[name])}", advice)
            )
    return found
