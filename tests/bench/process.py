"""One command as a whole process tree: wall time, CPU time and the peaks of its memory (Linux)."""

import contextlib
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SAMPLE_S = 0.02
_SHARE_OF_TIME = 0.1
"""Of the time, in which memory is looked at: of gigabytes a look takes a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one command, or the median of several, took."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    """Of resident memory: what the processes allocated, and pages of files that are in memory now."""
    peak_anonymous_bytes: int
    """Of what they allocated alone, which no system can take back."""

    @property
    def peak_mib(self) -> float:
        """Peak memory in MiB."""
        return self.peak_bytes / (1 << 20)

    @property
    def peak_anonymous_mib(self) -> float:
        """Peak of allocated memory in MiB."""
        return self.peak_anonymous_bytes / (1 << 20)


def cost_of(arguments: list[str], *, repeats: int = 3) -> Cost:
    """Medians over `repeats` runs of `python ARGUMENTS`."""
    costs = [_run([sys.executable, *arguments]) for _ in range(repeats)]
    return Cost(
        wall_s=statistics.median(cost.wall_s for cost in costs),
        cpu_s=statistics.median(cost.cpu_s for cost in costs),
        peak_bytes=round(statistics.median(cost.peak_bytes for cost in costs)),
        peak_anonymous_bytes=round(statistics.median(cost.peak_anonymous_bytes for cost in costs)),
    )


def _run(command: list[str]) -> Cost:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peak = anonymous = 0
    pause = _SAMPLE_S
    errors = ""
    while True:
        try:
            _, errors = process.communicate(timeout=pause)
        except subprocess.TimeoutExpired:
            looked = time.perf_counter()
            resident, allocated = _tree_bytes(process.pid)
            peak, anonymous = max(peak, resident), max(anonymous, allocated)
            pause = max(_SAMPLE_S, (time.perf_counter() - looked) / _SHARE_OF_TIME)
        else:
            break
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{errors}")
    # Reaped descendants count too, so this is the whole tree's.
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall_s=wall, cpu_s=cpu, peak_bytes=peak, peak_anonymous_bytes=anonymous)


def _tree_bytes(pid: int) -> tuple[int, int]:
    """Resident and allocated bytes of a process and all below it; a page that several share counts in parts (PSS)."""
    resident = allocated = 0
    with contextlib.suppress(OSError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        resident, allocated = (
            1024 * sum(int(line.split()[1]) for line in rollup if line.startswith(kind))
            for kind in ("Pss:", "Pss_Anon:")
        )
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                below = _tree_bytes(int(child))
                resident, allocated = resident + below[0], allocated + below[1]
    return resident, allocated
