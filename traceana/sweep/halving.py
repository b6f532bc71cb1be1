"""Successive halving on the real job: every round runs each setting once more and keeps the faster half.

Jamieson and Talwalkar, Non-stochastic best arm identification and hyperparameter optimization, AISTATS 2016. What is
left is confirmed on fresh runs, in turn with the baseline: the runs that chose a setting do not count for it, so
that choosing the best of many brings no false winner.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from traceana.comparing.verdict import judge
from traceana.sweep.cells import Cell
from traceana.sweep.journal import Journal, Record
from traceana.sweep.order import Kind, Turn, block
from traceana.sweep.plan import Limits
from traceana.sweep.report import Verdict
from traceana.sweep.samples import case, samples, speedup, verdict
from traceana.sweep.series import Known, Progress, Run, run_all

FINALISTS = 2
"""Settings that are confirmed; the family of their verdicts holds false alarms at 5 %."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One round of the search: who ran, and who was kept, the fastest first."""

    number: int
    ran: tuple[str, ...]
    kept: tuple[str, ...]


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What a search came to. `verdicts` are of the finalists against the baseline, on fresh runs alone."""

    baseline: Cell
    rounds: tuple[Round, ...]
    finalists: tuple[Cell, ...]
    verdicts: tuple[tuple[str, Verdict], ...]
    winner: Cell | None
    stopped: str | None


class Halving:
    """Searches among cells of which the first is the baseline."""

    def __init__(
        self,
        cells: Sequence[Cell],
        journal: Journal,
        run: Run,
        limits: Limits,
        say: Callable[[Progress], None],
        seed: int,
    ) -> None:
        self.baseline, *self.others = cells
        self.journal = journal
        self.run = run
        self.limits = limits
        self.say = say
        self.seed = seed
        self.rounds: list[Round] = []
        self.stopped: str | None = None

    def search(self, repeats: int) -> Search:
        """Halve until FINALISTS are left, then confirm them by so many runs each."""
        # The first run of all pays for cold caches.
        self._go(block([self.baseline], Kind.SEARCH, 0, self.seed))
        left = list(self.others)
        while len(left) > FINALISTS and not self.stopped:
            left = self._round(left)
        finalists = _alive(left, [record for record in self.journal.records if record.kind == Kind.SEARCH])
        for repeat in range(1, repeats + 1):
            if not self.stopped:
                self._go(block([self.baseline, *finalists], Kind.TIMED, repeat, self.seed))
        verdicts = self._verdicts(finalists)
        return Search(
            baseline=self.baseline,
            rounds=tuple(self.rounds),
            finalists=tuple(finalists),
            verdicts=verdicts,
            winner=_winner(finalists, dict(verdicts)),
            stopped=self.stopped,
        )

    def _go(self, turns: Sequence[Turn]) -> None:
        self.stopped = self.stopped or run_all(turns, self.journal, self.run, self.limits, self.say)

    def _round(self, left: Sequence[Cell]) -> list[Cell]:
        number = len(self.rounds) + 1
        self._go(block([self.baseline, *left], Kind.SEARCH, number, self.seed))
        if self.stopped:
            return list(left)
        # A search that goes on finds later rounds in the journal, which this one did not know.
        known = [record for record in self.journal.records if record.kind == Kind.SEARCH and record.repeat <= number]
        times = _means(known)
        ordered = sorted(_alive(left, known), key=lambda cell: times.get(cell.label, math.inf))
        kept = ordered[: max(FINALISTS, len(ordered) // 2)]
        self.rounds.append(
            Round(number=number, ran=tuple(cell.label for cell in left), kept=tuple(cell.label for cell in kept))
        )
        return kept

    def _verdicts(self, finalists: Sequence[Cell]) -> tuple[tuple[str, Verdict], ...]:
        known = samples(self.journal.records)
        if self.baseline.label not in known:
            return ()
        first = known[self.baseline.label]
        told = [cell.label for cell in _alive(finalists, self.journal.records) if cell.label in known]
        judged = judge([case(first, known[label]) for label in told])
        return tuple(
            (label, verdict(speedup(first, known[label]), its)) for label, its in zip(told, judged, strict=True)
        )


def _alive(left: Sequence[Cell], records: Sequence[Record]) -> list[Cell]:
    failed = Known(records).failed_cells
    return [cell for cell in left if cell.label not in failed]


def _winner(finalists: Sequence[Cell], verdicts: dict[str, Verdict]) -> Cell | None:
    """The fastest of the finalists that are certainly faster than the baseline."""
    faster = [cell for cell in finalists if cell.label in verdicts and verdicts[cell.label].verdict == "faster"]
    return max(faster, key=lambda cell: verdicts[cell.label].speedup, default=None)


def _means(records: Sequence[Record]) -> dict[str, float]:
    """Means of the logarithms of each cell's searching runs; all that are left have as many, from the same rounds."""
    logs: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if record.kind == Kind.SEARCH and record.repeat and record.value_ns:
            logs[record.cell].append(math.log(record.value_ns))
    return {cell: float(np.mean(values)) for cell, values in logs.items()}
