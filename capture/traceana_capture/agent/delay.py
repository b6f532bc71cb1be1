"""The end of `--delay`: by time, because one long request gives no later occasion."""

import functools
import signal
import threading
from collections.abc import Callable
from typing import Any

# A real-time signal that nothing else uses; its handler stays, because a late one would end the process.
WAKE = signal.SIGRTMAX - 3


def is_by_time(settings: dict[str, Any]) -> bool:
    """Whether the window opens in the midst of things; steps are not cut."""
    return bool(settings["delay_s"]) and not (settings["step_on"] or settings["warmup"] or settings["steps"])


def wait(delay_s: float, opens: Callable[[], None], over: Callable[[], None]) -> None:
    """After the delay call `over`, and then `opens`, on this thread if it is the main one."""
    wake = opens
    if threading.current_thread() is threading.main_thread():
        signal.signal(WAKE, lambda *_: opens())
        wake = functools.partial(signal.pthread_kill, threading.get_ident(), WAKE)

    def due() -> None:
        over()
        wake()

    timer = threading.Timer(delay_s, due)
    timer.daemon = True
    timer.start()
