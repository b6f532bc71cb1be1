"""Every way out of a process exports first: an interpreter that ends with a profiler active dies with SIGSEGV.

(pytorch#195837.) An export that is stuck holds no process back for longer than EXPORT_S.
"""

import atexit
import faulthandler
import functools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from traceana_capture.agent.call_keys import forget_groups
from traceana_capture.agent.sigterm import EXPORT_S
from traceana_capture.agent.window import Window

# Later than a thread of Python would have done it: what is stuck in C may hold the interpreter.
LAST_RESORT_S = 5.0


def close_before_exit(dist: Any, window: Window) -> None:
    """Close the window before the process group's end, `os._exit`, `os.exec*` and the interpreter's end."""
    destroy = dist.destroy_process_group

    @functools.wraps(destroy)
    def destroy_process_group(group: Any = None) -> Any:
        if group in (None, dist.group.WORLD):
            window.close("the process group ended")
        forget_groups()
        return destroy(group)

    dist.destroy_process_group = dist.distributed_c10d.destroy_process_group = destroy_process_group
    # Children of fork and forkserver leave through os._exit and never run atexit.
    os._exit = _leaving(os._exit, window, lambda _status: True)
    # All of os.exec* end in these two; `execvp` tries one folder after another, and only a file that is there ends us.
    os.execv = _leaving(os.execv, window, lambda path, *_: os.path.isfile(path))  # noqa: PTH113 - may be a descriptor
    os.execve = _leaving(os.execve, window, lambda path, *_: os.path.isfile(path))  # noqa: PTH113
    atexit.register(window.leave)


def _leaving(leave: Callable[..., Any], window: Window, ends: Callable[..., bool]) -> Any:
    @functools.wraps(leave)
    def call(*args: Any) -> Any:
        if ends(*args):
            if window.is_recording():
                _export(window, functools.partial(leave, *args))
            else:
                window.leave()
        return leave(*args)

    return call


def _export(window: Window, leave: Callable[[], Any]) -> None:
    """Export, and leave anyway when that does not end."""
    over = threading.Event()

    def watch() -> None:
        if not over.wait(EXPORT_S):
            leave()

    threading.Thread(target=watch, daemon=True).start()
    with Path(os.devnull).open("w") as nowhere:
        faulthandler.dump_traceback_later(EXPORT_S + LAST_RESORT_S, exit=True, file=nowhere)
        try:
            window.leave()
        finally:
            over.set()
            faulthandler.cancel_dump_traceback_later()
