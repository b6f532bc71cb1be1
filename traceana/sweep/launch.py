"""Runs one command to its end in a session of its own, and leaves nothing of it behind, whatever happens to us."""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from traceana_capture.launcher import processes

from traceana.errors import TraceanaError

MARK = "TRACEANA_CAPTURE"
"""By its value a process of ours is known, also in a session of its own; alone it starts no agent."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended: its exit code, negative for a signal, None where its time was over."""

    code: int | None
    wall_ns: int

    @property
    def failure(self) -> str | None:
        """In words, None where it went well."""
        if self.code is None:
            return "it ran longer than --timeout allows"
        if self.code < 0:
            return f"signal {-self.code} ended it"
        return f"exit code {self.code}" if self.code else None


def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    scratch: Path,
    timeout_s: float | None = None,
    keep: Sequence[int] = (),
) -> Ended:
    """Run `argv` with its output in `log`; `scratch` is an empty folder that is gone afterwards.

    `keep` are descriptors that stay open until the last process is gone, should we be killed.

    Raises TraceanaError where the command cannot start.
    """
    marked = {MARK: json.dumps(str(scratch)), **environment}
    with _guarded(scratch, keep) as guard, log.open("wb") as output:
        began = time.monotonic_ns()
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=marked, start_new_session=True
            )
        except OSError as error:
            raise TraceanaError(f"cannot run {argv[0]}: {error.strerror}; check the command") from error
        assert guard.stdin is not None
        guard.stdin.write(b"%d\n" % process.pid)
        try:
            code = process.wait(timeout_s)
            wall_ns = time.monotonic_ns() - began
        except subprocess.TimeoutExpired:
            code, wall_ns = None, time.monotonic_ns() - began
        finally:
            processes.end(lambda: processes.of_run(scratch, process.pid))
            process.wait()
    return Ended(code=code, wall_ns=wall_ns)


def fresh(folder: Path) -> Path:
    """The folder, empty and for nobody else, because commands import from it. Raises TraceanaError."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise TraceanaError(f"{folder}: cannot be made ({error.strerror}); choose another folder with -o") from error
    return folder


@contextlib.contextmanager
def _guarded(scratch: Path, keep: Sequence[int]) -> Iterator[subprocess.Popen[bytes]]:
    """Have a process stand by that ends the command should we be killed; it knows by its stdin's end."""
    argv = [sys.executable, "-I", "-S", str(processes.__file__), str(scratch), "true"]
    guard = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True, pass_fds=keep, bufsize=0
    )
    try:
        yield guard
    finally:
        guard.communicate(b".")
        shutil.rmtree(scratch, ignore_errors=True)
