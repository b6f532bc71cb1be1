"""Publishes the traces of a window that closed while the command goes on: one at a time, at a low priority."""

import contextlib
import threading
from collections.abc import Sequence

from traceana_capture.launcher.collect import publish
from traceana_capture.launcher.record import Record
from traceana_capture.launcher.workers import Ranks, Worker

LOOK_S = 0.1
NICE = 5


class Live:
    """Looks for exports that are done; what it has not published at the end is left to the run's settling."""

    def __init__(self, record: Record, ranks: Ranks) -> None:
        self.record = record
        self.ranks = ranks
        self._give_up: list[int] = []
        self._job: threading.Thread | None = None

    def look(self) -> None:
        """Begin with the next trace, if none is under way."""
        if self._job is None or not self._job.is_alive():
            worker = next((worker for window in list(self.ranks.windows) for worker in self.left(window)), None)
            if worker is not None:
                self._job = threading.Thread(target=self._publish, args=(worker,), daemon=True)
                self._job.start()

    def left(self, number: int) -> list[Worker]:
        """Exported traces of this window that are not published; of two processes with one rank the first is."""
        found: dict[int, Worker] = {}
        for worker in sorted(self.ranks.windows[number].values(), key=lambda worker: (worker.rank, worker.pid)):
            if worker.trace is not None:
                found.setdefault(worker.rank, worker)
        return [worker for worker in found.values() if worker.outcome is None]

    def _publish(self, worker: Worker) -> None:
        # A full disk is what the run's settling tells of.
        with contextlib.suppress(OSError):
            publish(worker, self.record.claim.of_window(worker.window), self._give_up, NICE)
            self.record.write_so_far(worker.window, self.ranks.windows[worker.window].values())

    def end(self, asked: Sequence[int]) -> None:
        """Wait for what is under way; a signal in `asked` gives that up."""
        while self._job is not None and self._job.is_alive():
            self._job.join(LOOK_S)
            self._give_up.extend(asked)
