"""Runs the command with the agent injected, in a process group of its own, and leaves none of its processes behind."""

import contextlib
import ctypes
import dataclasses
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from types import FrameType

import traceana_capture

from traceana.capture import backends
from traceana.capture.control import Ranks
from traceana.errors import TraceanaError

TIMED_OUT = 124
FLUSH_GRACE_S = 30.0
TERM_GRACE_S = 5.0
PR_SET_CHILD_SUBREAPER = 36
ENTRY_POINT = "[torch.backends]\ntraceana = traceana_capture.agent:start\n"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to run and what to record; durations in seconds."""

    argv: tuple[str, ...]
    duration_s: float
    delay_s: float
    ranks: tuple[int, ...]
    shapes: bool
    stacks: bool
    memory: bool
    all_threads: bool
    max_collectives: int
    max_memory_mib: int
    backend: str
    start_on: str
    step_on: str
    warmup: int
    steps: int
    nccl: dict[str, str]
    timeout_s: float | None


def inject(folder: Path, options: Options) -> dict[str, str]:
    """Lay out the folder that goes onto PYTHONPATH and return the command's environment."""
    package = Path(str(traceana_capture.__file__)).parent
    (folder / "traceana_capture").symlink_to(package)
    info = folder / "traceana_capture_agent-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: traceana-capture-agent\nVersion: 1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINT)
    settings = {
        "socket": str(folder / "control"),
        "workdir": str(folder),
        "duration_s": options.duration_s,
        "delay_s": options.delay_s,
        "ranks": options.ranks,
        "shapes": options.shapes,
        "stacks": options.stacks,
        "memory": options.memory,
        "all_threads": options.all_threads,
        "max_collectives": options.max_collectives,
        "max_memory_mib": options.max_memory_mib,
        "backend": options.backend,
        "start_on": options.start_on,
        "step_on": options.step_on,
        "warmup": options.warmup,
        "steps": options.steps,
    }
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    quiet = {"KINETO_LOG_LEVEL": os.environ.get("KINETO_LOG_LEVEL", "99")}
    chosen = {**quiet, **backends.environment(options.backend), **options.nccl}
    return {**os.environ, **chosen, "PYTHONPATH": path, "TRACEANA_CAPTURE": json.dumps(settings)}


class Launch:
    """One run of the command, from its start to the end of its last process."""

    def __init__(self, options: Options, ranks: Ranks, environment: dict[str, str]) -> None:
        self.options = options
        self.ranks = ranks
        self.environment = environment
        self._asked: list[int] = []

    def run(self) -> int:
        """Run to the end and return the exit code: the command's own, 128+n for a signal, 124 for a timeout."""
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        previous = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            process = subprocess.Popen(self.options.argv, env=self.environment, start_new_session=True)
        except OSError as error:
            raise TraceanaError(f"cannot run {self.options.argv[0]}: {error.strerror}; check the command") from error
        try:
            code = self._watch(process)
        finally:
            self._clear(process)
            for number, handler in previous.items():
                signal.signal(number, handler)
        return 128 - code if code < 0 else code

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self._asked.append(number)

    def _watch(self, process: subprocess.Popen[bytes]) -> int:
        deadline = time.monotonic() + (self.options.timeout_s or float("inf"))
        while process.poll() is None:
            if self._asked:
                number = self._asked.pop(0)
                self._flush()
                _signal_group(process.pid, number)
            if time.monotonic() > deadline:
                self._flush()
                self._clear(process)
                return TIMED_OUT
            time.sleep(0.02)
        return process.returncode

    def _flush(self) -> None:
        """Let the ranks export before a signal reaches them; a second signal ends the wait."""
        self.ranks.flush()
        end = time.monotonic() + FLUSH_GRACE_S
        while self.ranks.busy() and time.monotonic() < end and not self._asked:
            time.sleep(0.02)

    def _clear(self, process: subprocess.Popen[bytes]) -> None:
        """End what the command left behind: first a flush, then SIGTERM, then SIGKILL."""
        if process.poll() is not None and not _children():
            return
        self._flush()
        for number, grace in ((signal.SIGTERM, TERM_GRACE_S), (signal.SIGKILL, TERM_GRACE_S)):
            end = time.monotonic() + grace
            _signal_group(process.pid, number)
            for pid in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            while time.monotonic() < end and (process.poll() is None or _children()):
                _reap(process.pid)
                time.sleep(0.02)


def _signal_group(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


def _children() -> list[int]:
    """Our children, which as a subreaper includes the command's orphans."""
    text = "".join(p.read_text() for p in Path("/proc/self/task").glob("*/children"))
    return [int(pid) for pid in text.split()]


def _reap(leader: int) -> None:
    """Collect ended orphans; the leader is left to its Popen object."""
    for pid in _children():
        if pid != leader:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
