"""What one side measured for one operation at one size: samples of steady calls, and what they expose."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
import numpy as np

from traceana.analyze.calls import Calls
from traceana.analyze.collectives import Signature
from traceana.analyze.run import AnalyzedRun
from traceana.comparing.estimate import Sample, sample
from traceana.comparing.sides import Side
from traceana.trace.columns import Bools

Value = TypeVar("Value")
# Windows seldom open and close as one, so some calls at their ends have no peer.
_MATCHED = 0.9


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """An operation, its message size in bytes and the number of ranks in its process group, None where not known."""

    op: str
    message_bytes: int | None
    group_size: int | None


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Steady calls and their exposed time in ns: mean over ranks and runs, a step or a run.

    `shared_ns` is the part of it in calls beside which another call of their rank ran, so that it may count for both;
    `slowed_ns` by how much longer compute took beside the calls, where that is certain.
    """

    calls: float
    exposed_ns: float
    shared_ns: float
    slowed_ns: float


class SideCalls(msgspec.Struct, frozen=True, kw_only=True):
    """One row of one side: `rows` choose its calls, run by run, `beside` those of all calls that overlap another."""

    side: Side
    rows: tuple[Bools, ...]
    beside: tuple[Bools, ...]

    @property
    def matched(self) -> bool:
        """Whether nine in ten calls of every run are matched across ranks."""
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

    def spent(self, *, per_step: bool) -> Spent:
        """What the calls of the steady steps expose, or all steady ones where none of these is inside a step."""
        found = [
            _spent(run, _in_steps(run, rows) if per_step else rows, beside, per_step)
            for (run, rows), beside in zip(self._steady(), self.beside, strict=True)
        ]
        return Spent(
            calls=sum(one.calls for one in found) / len(found),
            exposed_ns=sum(one.exposed_ns for one in found) / len(found),
            shared_ns=sum(one.shared_ns for one in found) / len(found),
            slowed_ns=sum(one.slowed_ns for one in found) / len(found),
        )

    @property
    def backends(self) -> set[str]:
        """Who issued the calls."""
        return self._of_signatures(lambda signature: signature.backend)

    @property
    def group_sizes(self) -> set[int | None]:
        """Ranks in the calls' process groups."""
        return self._of_signatures(lambda signature: signature.group_size)

    def _of_signatures(self, value: Callable[[Signature], Value]) -> set[Value]:
        return {
            value(run.calls.signatures[code])
            for run, rows in zip(self.side.runs, self.rows, strict=True)
            for code in np.flatnonzero(np.bincount(run.calls.signature[rows])).tolist()
        }

    def _steady(self) -> list[tuple[AnalyzedRun, Bools]]:
        return [(run, rows & ~run.calls.warm_up) for run, rows in zip(self.side.runs, self.rows, strict=True)]


def calls_by_key(side: Side) -> dict[Key, SideCalls]:
    """Every operation, size and group size of a side."""
    found = [_rows_by_key(run.calls) for run in side.runs]
    keys = {key for rows in found for key in rows}
    nothing = [np.zeros(len(run.calls), dtype=np.bool_) for run in side.runs]
    beside = tuple(_beside_another(run.calls) for run in side.runs)
    rows = {key: tuple(of.get(key, none) for of, none in zip(found, nothing, strict=True)) for key in keys}
    return {key: SideCalls(side=side, rows=chosen, beside=beside) for key, chosen in rows.items()}


def joined(found: Iterable[SideCalls]) -> SideCalls:
    """The calls of some rows of one side as one."""
    chosen = list(found)
    rows = zip(*(calls.rows for calls in chosen), strict=True)
    joined_rows = tuple(np.logical_or.reduce(of_run) for of_run in rows)
    return SideCalls(side=chosen[0].side, rows=joined_rows, beside=chosen[0].beside)


def _rows_by_key(calls: Calls) -> dict[Key, Bools]:
    numbers: dict[Key, int] = {}
    keys = [Key(op=one.op, message_bytes=one.message_bytes, group_size=one.group_size) for one in calls.signatures]
    of_signature = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    of_call = of_signature[calls.signature]
    return {key: of_call == number for key, number in numbers.items()}


def _in_steps(run: AnalyzedRun, rows: Bools) -> Bools:
    inside = rows & (run.calls.step > 0) & (run.calls.step < len(run.report.steps))
    return inside if inside.any() else rows


def _beside_another(calls: Calls) -> Bools:
    """Calls during which another one of their rank runs."""
    order = np.lexsort((calls.start_ns, calls.rank))
    rank, start = calls.rank[order], calls.start_ns[order]
    end = start + calls.duration_ns[order]
    found = np.zeros(len(order), dtype=np.bool_)
    for one in np.unique(rank):
        mine = np.flatnonzero(rank == one)
        meets_before = np.maximum.accumulate(end[mine])[:-1] > start[mine][1:]
        meets_after = end[mine][:-1] > start[mine][1:]
        found[order[mine[1:]]] |= meets_before
        found[order[mine[:-1]]] |= meets_after
    return found


def _spent(run: AnalyzedRun, rows: Bools, beside: Bools, per_step: bool) -> Spent:
    steps = sum(not step.warm_up for step in run.report.steps) if per_step else 1
    shares = max(len(run.report.ranks), 1) * max(steps, 1)
    return Spent(
        calls=int(rows.sum()) / shares,
        exposed_ns=int(run.calls.exposed_ns[rows].sum()) / shares,
        shared_ns=int(run.calls.exposed_ns[rows & beside].sum()) / shares,
        slowed_ns=int(run.calls.slowed_ns[rows].sum()) / shares,
    )


def _longest_transfers(calls: Calls, rows: Bools) -> Sample:
    """One value a matched collective: the longest transfer of its ranks."""
    first, longest = calls.longest_transfers(rows)
    order = np.argsort(calls.start_ns[first], kind="stable")
    return sample(longest[order], calls.step[first][order].astype(np.int64))


def _durations(calls: Calls, rows: Bools) -> Sample:
    order = np.argsort(calls.start_ns[rows], kind="stable")
    return sample(calls.duration_ns[rows][order].astype(np.int64), calls.step[rows][order].astype(np.int64))
