"""How a forked child of a process that recorded ends."""

import contextlib
import ctypes


def leave_without_destructors() -> None:
    """End this process, when it ends, before C++'s destructors run, with the exit code that it has by then.

    Kineto's wait for threads that a fork does not copy, or crash, as they do under torch.profiler alone. `on_exit`
    (glibc's) hands the exit code to what it calls, which comes after Python's own end and before older handlers.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.on_exit(library._exit, None)
