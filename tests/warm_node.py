"""`traceana capture` of short programs, many in turn, without the seconds that each import of torch takes.

A node imports torch once. For each run it forks a launcher, which forks the program instead of starting Python anew;
the agent starts in the program before its first line, as it does at the end of an import of torch, and the program ends
as Python does. How the agent comes into a command is not seen here, but in test_capture_wrapping.py.
"""

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import traceback
import types
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

from tests.capturing import survivors

LIMIT_S = 120


class Node:
    """The node's end in the tests' process."""

    def __init__(self) -> None:
        argv = [sys.executable, "-m", "tests.warm_node"]
        self._marker = Path(f"node of {os.getpid()}")
        environment = {**os.environ, "TRACEANA_TEST_RUN": str(self._marker)}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, env=environment)

    def run(self, scratch: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
        """Run `traceana ARGV`, or `python -c PROGRAM …` itself; files of its output go to `scratch`."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([str(scratch), argv, dict(os.environ)]) + "\n")
        stdin.flush()
        if not select.select([stdout], [], [], LIMIT_S)[0]:
            named = survivors(self._marker)
            for pid in named:
                os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"{argv} went on for more than {LIMIT_S} s: {named}")
        code = int(stdout.readline())
        said = [(scratch / name).read_text() for name in ("stdout", "stderr")]
        return subprocess.CompletedProcess(argv, code, *said)

    def close(self) -> None:
        """End the node."""
        self._process.communicate()


class Program:
    """What the launcher starts; stands in for its subprocess.Popen."""

    def __init__(self, argv: tuple[str, ...], env: dict[str, str], start_new_session: bool) -> None:
        assert start_new_session
        self.returncode: int | None = None
        self.pid = os.fork()
        if not self.pid:
            os.setsid()
            _become(argv, env)

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._wait(os.WNOHANG)

    def wait(self) -> int | None:
        """Wait for its end."""
        return self._wait(0)

    def _wait(self, how: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, how)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


def _become(argv: tuple[str, ...], environment: dict[str, str]) -> NoReturn:
    """Be `python -c PROGRAM …` from here on, to the interpreter's end."""
    from traceana_capture.agent import entry

    python, option, program, *words = argv
    assert (python, option) == (sys.executable, "-c")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.closerange(3, 1024)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *words]
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    code = 1
    try:
        entry.start()
        exec(compile(program, "<string>", "exec"), vars(main))
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    ctypes.pythonapi.Py_Exit(code)
    raise AssertionError("the interpreter has ended")


def _launch(scratch: str, argv: list[str], environment: dict[str, str]) -> NoReturn:
    """In a fork: run the launcher, or the program by itself, with its output in files."""
    from traceana_capture.launcher import launch

    from traceana.cli import main

    os.setsid()
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(scratch, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if argv[0] == sys.executable:
        _become(tuple(argv), environment)
    os.environ.clear()
    os.environ.update(environment)
    real = subprocess.Popen

    def start(argv: Any, **how: Any) -> Any:
        return Program(argv, **how) if "env" in how else real(argv, **how)

    stand_in = types.SimpleNamespace(Popen=start, PIPE=subprocess.PIPE, DEVNULL=subprocess.DEVNULL)
    mock.patch.object(launch, "subprocess", stand_in).start()
    sys.argv = ["traceana", *argv]
    code = 0
    try:
        main()
    except SystemExit as error:
        code = int(error.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


# What forks need; the profiler's first start imports the inductor.
MODULES = (
    "torch._inductor.config",
    "torch.distributed",
    "torch.profiler",
    "traceana.commands.capture",
    "traceana_capture.launcher.publish",
)


def serve() -> None:
    """Answer each line of stdin, which is a run, with its exit code."""
    for name in MODULES:
        importlib.import_module(name)
    # What the node holds is no garbage in any fork, also at its end.
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _launch(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
