"""Exports before SIGTERM ends the process, also while its main thread waits inside a collective."""

import ctypes
import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

# How long an export may hold back the end of a process that is to end.
EXPORT_S = 60.0
_pipe: tuple[socket.socket, socket.socket] | None = None


def watch(close: Callable[[str], None]) -> None:
    """Take SIGTERM if the program left it alone; a handler that it sets later replaces ours."""
    global _pipe
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, _handled_by_the_thread):
        return
    if _pipe is not None:
        # The thread of an earlier window waits still; what another thread restored, Python does not know of.
        signal.signal(signal.SIGTERM, _handled_by_the_thread)
        return
    _pipe = socket.socketpair()
    _pipe[1].setblocking(False)
    # Python runs a handler only after the C call in progress, but writes to this descriptor at once.
    theirs = signal.set_wakeup_fd(_pipe[1].fileno(), warn_on_full_buffer=False)
    if theirs != -1:
        signal.set_wakeup_fd(theirs)
        return
    signal.signal(signal.SIGTERM, _handled_by_the_thread)
    threading.Thread(target=_wait, args=(_pipe[0], close), daemon=True).start()


def _handled_by_the_thread(number: int, _frame: FrameType | None) -> None:
    """The thread knows already, unless the program's event loop took the descriptor for itself."""
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    if _pipe is not None and descriptor != _pipe[1].fileno():
        _pipe[1].send(bytes([number]))


def release() -> None:
    """The window is over: SIGTERM as it was, which ends the process even in a call that never comes back."""
    if _pipe is not None and signal.getsignal(signal.SIGTERM) is _handled_by_the_thread:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        else:
            _restore()


def _restore() -> None:
    # Only the main thread may call signal.signal; 0 is SIG_DFL.
    ctypes.CDLL(None).signal(signal.SIGTERM, ctypes.c_void_p(0))


def _wait(pipe: socket.socket, close: Callable[[str], None]) -> None:
    while signal.SIGTERM not in pipe.recv(64):
        pass
    # An export that is stuck must not keep the process from its end.
    closing = threading.Thread(target=close, args=("SIGTERM",), daemon=True)
    closing.start()
    closing.join(EXPORT_S)
    # Closing may have released it already; a handler that the program has set since has had the signal itself.
    if signal.getsignal(signal.SIGTERM) in (_handled_by_the_thread, signal.SIG_DFL):
        _restore()
        os.kill(os.getpid(), signal.SIGTERM)


def forget() -> None:
    """In a forked child, where the thread is gone: SIGTERM as it was."""
    global _pipe
    if _pipe is None:
        return
    _pipe = None
    if signal.getsignal(signal.SIGTERM) is _handled_by_the_thread:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
