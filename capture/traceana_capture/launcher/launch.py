"""Runs the command in a session of its own, from its start to the end of its last process."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from traceana.errors import TraceanaError
from traceana_capture.launcher import processes
from traceana_capture.launcher.collect import PUBLISHERS
from traceana_capture.launcher.nobody import Watch, why
from traceana_capture.launcher.options import Options
from traceana_capture.launcher.run_folder import Claim
from traceana_capture.launcher.status import Status
from traceana_capture.launcher.workers import Ranks

TIMED_OUT = 124
FLUSH_GRACE_S = 60.0
PR_SET_CHILD_SUBREAPER = 36


@contextlib.contextmanager
def signals() -> Iterator[list[int]]:
    """SIGINT and SIGTERM, in the order in which they came, instead of what they do to Python."""
    asked: list[int] = []

    def ask(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def guarded(claim: Claim) -> Iterator[subprocess.Popen[bytes]]:
    """Have a process stand by that ends and publishes the run should we be killed; it knows by its stdin's end."""
    rescue = [sys.executable, "-m", "traceana_capture.launcher.rescue", str(claim.scratch)]
    argv = [sys.executable, "-I", "-S", str(processes.__file__), str(claim.scratch), *rescue]
    # With the lock in its hands no other run takes the folder before it is done.
    guard = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True, pass_fds=[claim.lock], bufsize=0
    )
    try:
        yield guard
    finally:
        guard.communicate(b".")


class Launch:
    """One run of the command."""

    def __init__(
        self,
        options: Options,
        claim: Claim,
        ranks: Ranks,
        asked: list[int],
        status: Status,
        looks: Sequence[Callable[[], None]],
    ) -> None:
        self.options = options
        self.claim = claim
        self.ranks = ranks
        self.status = status
        # Called now and then while the command runs.
        self._looks = looks
        self._asked = asked
        self._session: int | None = None
        # The signal that the user sent to it, through us.
        self.sent: int | None = None
        self._watch_processes = Watch(self._processes)

    def _processes(self) -> set[int]:
        return processes.of_run(self.claim.scratch, self._session)

    def nobody(self, environment: Mapping[str, str]) -> str:
        """The likeliest reason why no rank appeared."""
        return why(self._watch_processes.seen.values(), self.ranks.torch, environment)

    def run(self, environment: dict[str, str], guard: subprocess.Popen[bytes]) -> int:
        """Run to the end and return the exit code: the command's own, 128+n for a signal, 124 for a timeout."""
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        others = _children()
        try:
            process = subprocess.Popen(self.options.argv, env=environment, start_new_session=True)
        except OSError as error:
            raise TraceanaError(f"cannot run {self.options.argv[0]}: {error.strerror}; check the command") from error
        assert guard.stdin is not None
        guard.stdin.write(b"%d\n" % process.pid)
        self._session = process.pid
        try:
            code = self._watch(process)
        finally:
            self._clear(process.pid, others)
            process.wait()
            _reap(others)
        return 128 - code if code < 0 else code

    def _watch(self, process: subprocess.Popen[bytes]) -> int:
        deadline = time.monotonic() + (self.options.timeout_s or float("inf"))
        flushed = False
        while process.poll() is None:
            self.status.show(self.ranks.now())
            for look in self._looks:
                look()
            if not self.ranks.workers:
                self._watch_processes.look()
            if self._asked:
                number = self._asked.pop(0)
                if not flushed:
                    self._flush()
                    flushed = True
                self.sent = self.sent or number
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            if time.monotonic() > deadline:
                return TIMED_OUT
            time.sleep(0.02)
        return process.returncode

    def _flush(self) -> None:
        """Let the ranks export before a signal reaches them; a second signal ends the wait."""
        self.ranks.flush()
        limit = time.monotonic() + FLUSH_GRACE_S
        while self.ranks.busy() and time.monotonic() < limit and not self._asked:
            self.status.show(self.ranks.now())
            time.sleep(0.02)

    def _clear(self, session: int, others: frozenset[int]) -> None:
        """End what is left of the command, with a flush first."""

        def left() -> set[int]:
            return PUBLISHERS.left_out_of(processes.of_run(self.claim.scratch, session, _orphans(others)))

        if left():
            self._flush()
            processes.end(left)


def _children() -> frozenset[int]:
    """Of this process, those too that have ended and nobody waited for."""
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        # A thread that ended meanwhile has none.
        with contextlib.suppress(OSError):
            found.update(map(int, path.read_text().split()))
    return frozenset(found)


def _orphans(others: frozenset[int]) -> frozenset[int]:
    """The command's, which as a subreaper we inherit; helpers of ours are in our own session, or were there before."""
    return frozenset(pid for pid in _children() - others if _session(pid) not in (None, os.getsid(0)))


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _reap(others: frozenset[int]) -> None:
    """Collect the command's orphans, which as a subreaper we inherit; all have ended."""
    for pid in PUBLISHERS.left_out_of(set(_children() - others)):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
