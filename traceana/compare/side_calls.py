"""What one side measured for one operation at one size: samples of steady calls, and what they expose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from traceana.analyze.calls import Calls
from traceana.analyze.run import AnalyzedRun
from traceana.compare.estimate import Sample, sample
from traceana.compare.sides import Side
from traceana.trace.columns import Bools

Key = tuple[str, int | None]
"""An operation and its message size in bytes, None for calls of unknown size."""

_MATCHED = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class SideCalls:
    """One row of one side: `rows` choose its calls, run by run."""

    side: Side
    rows: tuple[Bools, ...]

    @property
    def matched(self) -> bool:
        """Whether nine in ten calls of every run are matched across ranks: windows seldom open and close as one."""
        return all(
            run.calls.matched[rows].mean() >= _MATCHED
            for run, rows in zip(self.side.runs, self.rows, strict=True)
            if rows.any()
        )

    @property
    def steady(self) -> int:
        """Per-rank calls in the steady state."""
        return sum(int(rows.sum()) for _, rows in self._steady())

    @property
    def warm_up(self) -> int:
        """Per-rank calls left out."""
        return sum(int(rows.sum()) for rows in self.rows) - self.steady

    @property
    def a_rank(self) -> float:
        """Calls of a run, warm-up and all, on a mean rank."""
        return sum(int(rows.sum()) for rows in self.rows) / max(sum(len(run.ranks) for run in self.side.reports), 1)

    def samples(self, basis: str, *, warm_up: bool = False) -> tuple[Sample, ...]:
        """One sample a run, of steady calls or, where nothing else is left to show, of all."""
        taken = _longest_transfers if basis == "transfer" else _durations
        chosen = zip(self.side.runs, self.rows, strict=True) if warm_up else self._steady()
        return tuple(taken(run.calls, rows) for run, rows in chosen)

    def exposed_ns(self, per_step: bool) -> float:
        """Exposed time of the steady calls without waiting for peers: mean over ranks and runs, a step or a run.

        Compute is taken to cover the waiting first, so that a transfer is not called hidden where it is not.
        """
        found = []
        for run, rows in self._steady():
            spent = int(np.minimum(run.calls.exposed_ns[rows], run.calls.cost_ns[rows]).sum())
            steps = sum(not step.warm_up for step in run.report.steps) if per_step else 1
            found.append(spent / max(len(run.report.ranks), 1) / max(steps, 1))
        return sum(found) / len(found)

    def _steady(self) -> list[tuple[AnalyzedRun, Bools]]:
        return [(run, rows & ~run.calls.warm_up) for run, rows in zip(self.side.runs, self.rows, strict=True)]


def calls_by_key(side: Side) -> dict[Key, SideCalls]:
    """Every operation and size of a side."""
    found = [_rows_by_key(run.calls) for run in side.runs]
    keys = {key for rows in found for key in rows}
    nothing = [np.zeros(len(run.calls), dtype=np.bool_) for run in side.runs]
    return {
        key: SideCalls(side=side, rows=tuple(rows.get(key, none) for rows, none in zip(found, nothing, strict=True)))
        for key in keys
    }


def joined(found: Mapping[Key, SideCalls], ops: Sequence[str]) -> SideCalls:
    """The calls of some operations at all sizes."""
    chosen = [calls for (op, _), calls in found.items() if op in ops]
    rows = zip(*(calls.rows for calls in chosen), strict=True)
    return SideCalls(side=chosen[0].side, rows=tuple(np.logical_or.reduce(of_run) for of_run in rows))


def _rows_by_key(calls: Calls) -> dict[Key, Bools]:
    codes: dict[Key, list[int]] = {}
    for code, signature in enumerate(calls.signatures):
        codes.setdefault((signature.op, signature.message_bytes), []).append(code)
    return {key: np.isin(calls.signature, found) for key, found in codes.items()}


def _longest_transfers(calls: Calls, rows: Bools) -> Sample:
    """One value a matched collective: the longest transfer of its ranks."""
    rows = rows & calls.matched
    _, first, index = np.unique(calls.collective[rows], return_index=True, return_inverse=True)
    longest = np.zeros(len(first), dtype=np.int64)
    np.maximum.at(longest, index, calls.transfer_ns[rows])
    order = np.argsort(calls.start_ns[rows][first], kind="stable")
    return sample(longest[order], calls.step[rows][first][order])


def _durations(calls: Calls, rows: Bools) -> Sample:
    order = np.argsort(calls.start_ns[rows], kind="stable")
    return sample(calls.duration_ns[rows][order], calls.step[rows][order])
