"""A Python that has imported torch, and becomes other Pythons by a fork: what each would spend its first seconds on.

A fork becomes `python -m MODULE …`, `python -c PROGRAM …` or `python SCRIPT …`: with its arguments, environment (in
/proc too), folder, files, signals and `sys.path`. There torch is not imported before the program does so, at which the
agent starts, as torch's entry point has it. It ends as Python does, but that modules are not taken apart: with torch
that takes longer than most programs here. Pythons that are started anew, in test_capture_wrapping, end in full.
"""

import atexit
import builtins
import concurrent.futures.thread
import ctypes
import gc
import importlib
import importlib.machinery
import itertools
import os
import runpy
import signal
import subprocess
import sys
import threading
import types
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

# How many generations of Pythons are forks; those after them are started anew.
GENERATIONS = "TRACEANA_TEST_GENERATIONS"
MODULES = (
    "networkx",  # with the next two most of what HolisticTraceAnalysis imports
    "pandas",
    "plotly.express",
    "tomllib" if sys.version_info >= (3, 11) else "tomli",
    "torch._inductor.config",  # which the profiler's first start imports
    "torch.distributed.run",
    "torch.profiler",
    "traceana.cli",
    "traceana.commands.bench",
    "traceana.commands.capture",
    "traceana.bench.rank",
    "traceana_capture.agent.adapters",
    "traceana_capture.agent.c10d",
    "traceana_capture.agent.exits",
    "traceana_capture.agent.functional",
    "traceana_capture.agent.kills",
    "traceana_capture.agent.orders",
    "traceana_capture.agent.point_to_point",
    "traceana_capture.agent.presence",
    "traceana_capture.agent.paired",
    "traceana_capture.agent.window",
    "traceana_capture.launcher.publish",
)
_torch: list[types.ModuleType] = []
_path: list[str] = []


def prepare() -> None:
    """Import what forks need, and have this process' own Pythons be forks."""
    if _torch:
        return
    for name in MODULES:
        importlib.import_module(name)
    _torch.append(sys.modules["torch"])
    sys.meta_path.insert(0, _Torch())
    fork_instead()


class _Torch:
    """Finds torch where it is in memory, and starts the agent at its import."""

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self) if name == "torch" else None  # type: ignore[arg-type]

    def create_module(self, _: importlib.machinery.ModuleSpec) -> types.ModuleType:
        self._spec = _torch[0].__spec__
        return _torch[0]

    def exec_module(self, module: types.ModuleType) -> None:
        from traceana_capture.agent import entry

        module.__spec__ = self._spec
        entry.start()


def fork_instead() -> None:
    """Have `subprocess` and `multiprocessing` fork where they would start a Python."""
    import _posixsubprocess

    _path.extend(sys.path[1:])
    # What is there by now is no garbage in any fork, also at its end.
    gc.freeze()
    real = _posixsubprocess.fork_exec

    def fork_exec(*arguments: Any) -> int:
        argv, _, close, kept, folder, variables = arguments[:6]
        words = [os.fsdecode(word) for word in argv]
        environment = dict(os.environ) if variables is None else _decoded(variables)
        if int(environment.get(GENERATIONS, 0)) < 1 or not _is_plain(words):
            return int(real(*arguments))
        pid = os.fork()
        if not pid:
            stdin, _, _, stdout, _, stderr, _, end = arguments[6:14]
            if arguments[15]:
                os.setsid()
            # The parent reads from the other end of `end` whether the start failed.
            os.close(end)
            take_files((stdin, stdout, stderr), {*kept} - {end} if close else None)
            become(words, environment, folder and os.fsdecode(folder))
        return pid

    _posixsubprocess.fork_exec = fork_exec
    if hasattr(subprocess, "_fork_exec"):
        subprocess._fork_exec = fork_exec


def _decoded(variables: Sequence[bytes]) -> dict[str, str]:
    pairs = (os.fsdecode(variable).partition("=") for variable in variables)
    return {name: value for name, _, value in pairs}


def _is_plain(words: list[str]) -> bool:
    """Whether it is a Python that a fork can become. Multiprocessing's tracker of resources has no use for torch."""
    rest = _without_flags(words)
    if words[0] != sys.executable or not rest or "resource_tracker" in " ".join(rest):
        return False
    return rest[0] in ("-c", "-m") or not rest[0].startswith("-")


def _without_flags(words: list[str]) -> list[str]:
    """What follows the interpreter and flags that change nothing for a fork: unbuffered, and no bytecode."""
    return list(itertools.dropwhile(("-u", "-B").__contains__, words[1:]))


def take_files(standard: Sequence[int], kept: set[int] | None) -> None:
    """Have the files as standard input, output and error, where not -1, and no other than those and `kept`."""
    for number, file in enumerate(standard):
        if file >= 0:
            os.dup2(file, number)
    if kept is not None:
        first = 3
        for file in sorted(number for number in kept if number > 2):
            os.closerange(first, file)
            first = file + 1
        os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def become(words: list[str], environment: Mapping[str, str], folder: str | None = None) -> NoReturn:
    """Be the Python of this command from here on, to the interpreter's end."""
    code = 255
    try:
        left = int(environment.get(GENERATIONS, 0))
        _take_environment({**environment, GENERATIONS: str(left - 1)})
        if folder is not None:
            os.chdir(folder)
        _forget_the_parent()
        code = _run(_without_flags(words))
    finally:
        # Whatever happened, the parent's own code must not go on in the fork.
        _end(code)


def _end(code: int) -> NoReturn:
    """As Python does, but for taking modules apart."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _run(words: list[str]) -> int:
    """The exit code."""
    try:
        _run_main(words)
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _take_environment(environment: Mapping[str, str]) -> None:
    """Also where /proc shows it, in what the node was given for that."""
    os.environ.clear()
    os.environ.update(environment)
    if not _torch:
        return
    begin, end = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[47:49])
    text = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in environment.items())
    assert len(text) <= end - begin, "give the node's environment more room"
    # What is left is one word: as many empty ones, each process that is looked at would take milliseconds.
    ctypes.memmove(begin, text.ljust(end - begin, b"-"), end - begin)


def _forget_the_parent() -> None:
    """Its handlers of signals, its files' buffers, and what it would tidy up at its end."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]
    concurrent.futures.thread._threads_queues.clear()  # type: ignore[attr-defined]
    if _torch:
        sys.modules.pop("torch", None)
    else:
        # pytest-xdist would end the parent's other workers.
        atexit._clear()
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        # Never written out, as its end would do.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(getattr(sys, name)))
        errors, buffering = ("backslashreplace", 1) if name == "stderr" else (None, -1)
        stream = os.fdopen(descriptor, "w" if descriptor else "r", buffering, errors=errors, closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _run_main(words: list[str]) -> None:
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    vars(main)["__builtins__"] = builtins
    first = {"-c": "", "-m": str(Path.cwd())}.get(words[0], str(Path(words[0]).parent))
    added = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [first, *filter(None, added), *_path]
    importlib.invalidate_caches()
    if words[0] == "-m":
        sys.argv = words[1:]
        if not hasattr(sys.modules.get(words[1]), "__path__"):
            sys.modules.pop(words[1], None)
        runpy._run_module_as_main(words[1])  # type: ignore[attr-defined]
    elif words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        exec(compile(words[1], "<string>", "exec"), vars(main))
    else:
        sys.argv = words
        vars(main)["__file__"] = words[0]
        exec(compile(Path(words[0]).read_bytes(), words[0], "exec"), vars(main))
