"""What the ranks do, as short lines on a terminal; nothing in a pipe.

The command writes to the same terminal, so there is no redrawn display: a line for each change, ranks together.
"""

import sys
import time
from collections.abc import Iterable

import click

from traceana import units
from traceana_capture.launcher.workers import Worker

EVERY_S = 0.3


class Status:
    """Says what changed since it last spoke."""

    def __init__(self, *, live: bool | None = None) -> None:
        self._live = sys.stderr.isatty() if live is None else live
        self._states: dict[int, tuple[int, str]] = {}
        self._next = 0.0

    def show(self, workers: Iterable[Worker]) -> None:
        """One line for each state that ranks came to, a few times a second at most."""
        if not self._live or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_S
        changed: dict[str, list[int]] = {}
        for worker in list(workers):
            if self._states.get(worker.pid) != (worker.window, worker.state):
                self._states[worker.pid] = worker.window, worker.state
                changed.setdefault(worded(worker.window, worker.state), []).append(worker.rank)
        for state, ranks in changed.items():
            self.say(ranks, state)

    def say(self, ranks: list[int], state: str) -> None:
        """One line about some ranks."""
        if self._live:
            name = "rank" if len(ranks) == 1 else "ranks"
            click.echo(f"traceana: {name} {units.number_ranges(ranks)}: {state}", err=True)


def worded(window: int, state: str) -> str:
    """A rank's state for the user; the first window is the only one of most runs."""
    said = "exported" if state == "done" else state
    return said if window == 1 else f"window {window}: {said}"
