"""Why no rank appeared: what was seen of the command's processes while none had come, and what they said themselves."""

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from traceana.needs import INSTALL, has

VARIABLE = "TRACEANA_CAPTURE"
AUTOLOAD = "TORCH_DEVICE_BACKEND_AUTOLOAD"
OLDEST_TORCH = (2, 5)
RAY = (
    "Ray's workers are started by its daemon and inherit nothing from here: give ray.init a runtime_env with "
    f"env_vars PYTHONPATH and {VARIABLE} of os.environ, or start Ray under capture too"
)
# Programs whose work runs in processes that something else starts.
ELSEWHERE = {
    "ray": RAY,
    "ssh": "what ssh starts elsewhere inherits nothing from here: capture on each host, into one folder that all share",
    "srun": "Slurm starts the tasks: put capture behind srun, as in srun traceana capture -- CMD",
    "sbatch": "Slurm starts the job elsewhere: put capture into its script, as in srun traceana capture -- CMD",
    "docker": "the container inherits nothing from here: run traceana in it",
    "podman": "the container inherits nothing from here: run traceana in it",
    "kubectl": "the pods inherit nothing from here: run traceana in them",
}
_ISOLATING = re.compile(r"-[a-zA-Z]*[IES][a-zA-Z]*")
_PYTHON = re.compile(r"python[\d.]*")
_LIBRARY = re.compile(r"\s(/\S.*)/torch/lib/libtorch\w*\.so")
_VERSION = re.compile(r"__version__ = ['\"]([^'\"]+)")
FIRST_LOOK_S, LAST_LOOK_S = 0.3, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One process of the command: its words, torch's version, whether Ray is in it, what of its environment counts."""

    argv: tuple[str, ...]
    torch: str | None
    ray: bool
    inherits: bool
    autoload: bool


class Watch:
    """Looks at the command's processes now and then, more and more seldom."""

    def __init__(self, processes: Callable[[], Iterable[int]], root: Path = Path("/proc")) -> None:
        self.seen: dict[int, Sighting] = {}
        self._processes, self._root = processes, root
        self._next, self._wait_s = time.monotonic() + FIRST_LOOK_S, FIRST_LOOK_S

    def look(self) -> None:
        """Look, if it is time to."""
        if time.monotonic() >= self._next:
            for pid in self._processes():
                with contextlib.suppress(OSError):
                    self.seen[pid] = _sighting(self._root / str(pid))
            self._wait_s = min(2 * self._wait_s, LAST_LOOK_S)
            self._next = time.monotonic() + self._wait_s


def _sighting(folder: Path) -> Sighting:
    argv = tuple((folder / "cmdline").read_text(errors="replace").split("\0")[:-1])
    environment = (folder / "environ").read_text(errors="replace").split("\0")
    maps = (folder / "maps").read_text(errors="replace")
    library = _LIBRARY.search(maps)
    return Sighting(
        argv=argv,
        torch=_version(Path(library[1]) / "torch" / "version.py") if library else None,
        ray="/ray/_raylet" in maps,
        inherits=any(entry.startswith(f"{VARIABLE}=") for entry in environment),
        autoload=f"{AUTOLOAD}=0" not in environment,
    )


def _version(file: Path) -> str:
    with contextlib.suppress(OSError):
        found = _VERSION.search(file.read_text(errors="replace"))
        if found:
            return found[1]
    return "unknown"


def why(sightings: Iterable[Sighting], said: Mapping[int, str], environment: Mapping[str, str]) -> str:
    """The likeliest reason; `said` are versions of torch by process, of those that took capture's agent in."""
    seen = list(sightings)
    if any(one.ray for one in seen):
        return RAY
    if said:
        count = f"{len(said)} processes" if len(said) > 1 else "one process"
        return (
            f"torch was imported in {count}, and none set up torch.distributed; for a program by itself name a "
            "function with --start-on or --step-on (a pipeline of diffusers needs neither)"
        )
    with_torch = [one for one in seen if one.torch is not None]
    old = next((one.torch for one in with_torch if one.torch and _is_old(one.torch)), None)
    if old is not None:
        return f"torch {old} is too old: capture comes in by a door that torch has since 2.5"
    if environment.get(AUTOLOAD) == "0" or any(not one.autoload for one in with_torch):
        return f"{AUTOLOAD}=0 keeps capture out of torch; unset it"
    isolated = next((flag for one in seen if (flag := _isolating(one.argv))), None)
    if isolated is not None:
        return f"python {isolated} passes over PYTHONPATH, by which capture comes in; leave it out"
    if any(not one.inherits for one in with_torch):
        return "a process with torch did not inherit the environment (env -i, sudo, a reset); start it with all of it"
    if with_torch:
        return (
            "a process with torch came without PYTHONPATH, by which capture comes in (do not set it anew), or was "
            "ended while it imported torch"
        )
    elsewhere = next((ELSEWHERE[name] for one in seen if (name := _elsewhere(one.argv))), None)
    return elsewhere or f"no process of the command was seen to import torch{_missing_here()}"


def _missing_here() -> str:
    """The command's Python may be another than ours, so this is a hint only."""
    return "" if has("torch") else f"; traceana's own Python has none, for which there is {INSTALL}"


def _is_old(version: str) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) < OLDEST_TORCH


def _isolating(argv: Sequence[str]) -> str | None:
    """The option of Python that keeps capture out; those behind the program's name are the program's."""
    if not argv or not _PYTHON.fullmatch(Path(argv[0]).name):
        return None
    for word in argv[1:]:
        if not word.startswith("-") or word in ("-c", "-m"):
            return None
        if _ISOLATING.fullmatch(word):
            return word
    return None


def _elsewhere(argv: Sequence[str]) -> str | None:
    names = [Path(word).name for word in argv[:2]]
    return next((name for name in names if name in ELSEWHERE), None)
