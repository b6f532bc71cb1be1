"""`--every` and `--keep`: windows that open again and again, of which the newest stay: a kill loses one at most."""

import contextlib
import threading
import time

from traceana.errors import TraceanaError
from traceana_capture.launcher.asking import Ask
from traceana_capture.launcher.record import Record
from traceana_capture.launcher.windows import Windows
from traceana_capture.launcher.workers import Ranks

AGAIN_S = 0.2


class Rotation:
    """Orders the next window when it is time; of several launchers the one that has rank 0 does."""

    def __init__(self, record: Record, ranks: Ranks, windows: Windows) -> None:
        self.record = record
        self.ranks = ranks
        self.windows = windows
        self._next = 0.0
        self._job: threading.Thread | None = None

    def look(self) -> None:
        """Remove what is too old, and order the next window, if it is time."""
        if self.record.plan.options.every_s is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + AGAIN_S
        if self._job is None or not self._job.is_alive():
            self._job = threading.Thread(target=self._turn, daemon=True)
            self._job.start()

    def _turn(self) -> None:
        # What cannot be ordered, or removed, now may be at the next look.
        with contextlib.suppress(TraceanaError, OSError):
            self._remove_old()
            if self._is_time():
                self.windows.answer(Ask(do="open"))

    def _is_time(self) -> bool:
        every_s, latest = self.record.plan.options.every_s, list(self.ranks.windows[self.ranks.latest()].values())
        began = [worker.began for worker in latest if worker.began is not None]
        is_first = any(worker.rank == 0 for worker in latest)
        return is_first and bool(began) and every_s is not None and time.time() >= min(began) + every_s

    def _remove_old(self) -> None:
        """All but the latest window, which may be open, and so many before it."""
        there = sorted(number for number in self.ranks.windows if number not in self.record.removed)
        for number in there[: -1 - self.record.plan.options.keep]:
            workers = list(self.ranks.windows[number].values())
            if all(worker.trace is None or worker.outcome is not None for worker in workers):
                self.record.remove(number, workers)
