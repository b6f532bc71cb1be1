"""The runs of a sweep, one after the other: what is done is passed over, what fails is tried once more."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from statistics import median

import msgspec

from traceana import units
from traceana.sweep.journal import Journal, Record
from traceana.sweep.order import Kind, Turn
from traceana.sweep.plan import Limits

ATTEMPTS = 2
_NS_PER_S = 1_000_000_000
Run = Callable[[Turn], Record]
"""Runs a turn to its end. Raises TraceanaError where it cannot even begin, and KeyboardInterrupt."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Said before each run; `left_ns` is None before anything was measured."""

    number: int
    of: int
    turn: Turn
    left_ns: int | None


class Known:
    """What the records say about turns."""

    def __init__(self, records: Sequence[Record]) -> None:
        failures = Counter(record.key for record in records if record.failure)
        self.succeeded = {record.key for record in records if not record.failure}
        self.given_up = {key for key, count in failures.items() if count >= ATTEMPTS}
        self.failed_cells = frozenset(cell for cell, kind, _ in self.given_up if kind != Kind.TRACED)
        self._times: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for record in records:
            if not record.failure:
                for alike in ((record.cell, record.kind), (record.cell,), ()):
                    self._times[alike].append(record.wall_ns)

    def is_done(self, turn: Turn) -> bool:
        """Whether nothing is to be done for it: a cell of which a timed run failed twice is not tried further."""
        return turn.key in self.succeeded or turn.key in self.given_up or turn.cell.label in self.failed_cells

    def expected_ns(self, turn: Turn) -> int | None:
        """How long it should take: as the cell's runs of its kind, else as the cell's, else as all."""
        label = turn.cell.label
        known = (self._times.get(alike) for alike in ((label, turn.kind.value), (label,), ()))
        return next((round(median(times)) for times in known if times), None)

    def left_ns(self, turns: Sequence[Turn]) -> int | None:
        """How long what is left of these should take; None where nothing is known."""
        times = [self.expected_ns(turn) for turn in turns if not self.is_done(turn)]
        return None if None in times else sum(time for time in times if time is not None)


def run_all(
    turns: Sequence[Turn], journal: Journal, run: Run, limits: Limits, say: Callable[[Progress], None]
) -> str | None:
    """Run what is left, and return None, or in words which limit ended the sweep before its time."""
    for index, turn in enumerate(turns):
        while not (known := Known(journal.records)).is_done(turn):
            if reason := beyond(limits, turn, journal.records):
                return reason
            say(Progress(number=index + 1, of=len(turns), turn=turn, left_ns=known.left_ns(turns[index:])))
            journal.append(run(turn))
    return None


def beyond(limits: Limits, turn: Turn, records: Sequence[Record]) -> str | None:
    """Which limit this run would pass, if it takes as long as it should."""
    ahead = Known(records).expected_ns(turn) or 0
    spent = sum(record.wall_ns for record in records)
    if limits.whole_s is not None and spent + ahead > limits.whole_s * _NS_PER_S:
        return (
            f"the time limit of {units.duration(limits.whole_s * _NS_PER_S)}: {units.duration(spent)} are spent, and "
            f"the next run would take about {units.duration(ahead)}"
        )
    hours = (gpu_ns(records) + ahead * (turn.cell.gpus or 1)) / (3600 * _NS_PER_S)
    if limits.gpu_hours is not None and hours > limits.gpu_hours:
        return f"the limit of {limits.gpu_hours:g} GPU hours: with the next run it would be about {hours:.3g}"
    return None


def gpu_ns(records: Sequence[Record]) -> int:
    """GPU time of all runs; a run whose number of GPUs is not known counts one."""
    return sum(record.wall_ns * (record.gpus or 1) for record in records)
