"""Sweeps without processes: plans, cells, and runners that are told how long things take."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from traceana.sweep.cells import Cell, cells
from traceana.sweep.journal import Head, Record, opened
from traceana.sweep.order import Kind, Turn, turns
from traceana.sweep.plan import Axis, Choice, Limits, Plan, checked
from traceana.sweep.series import Progress, run_all

HEAD = Head(command=("job",), identity="one")
MS = 1_000_000


def axis(name: str, *labels: str) -> Axis:
    return Axis(name=name, choices=tuple(Choice(label=label, text=label) for label in labels))


def plan(*axes: Axis, command: Sequence[str] = ("job", "--size", "{size}"), **others: object) -> Plan:
    return checked(Plan(name="test", command=tuple(command), axes=axes, **others))  # type: ignore[arg-type]


def two_by_two() -> Plan:
    return plan(axis("size", "1", "2"), axis("nccl", "plain", "no-p2p"))


class Simulated:
    """A runner that gives each cell a time in ms and each run a spread, the same for the same turn and attempt."""

    def __init__(self, time_ms: Callable[[Cell], float], spread: float = 0.01, seed: int = 0) -> None:
        self.time_ms = time_ms
        self.spread = spread
        self.seed = seed
        self.ran: list[str] = []
        self.fails: Callable[[Turn], bool] = lambda turn: False

    def __call__(self, turn: Turn) -> Record:
        self.ran.append(turn.title)
        cell, kind, repeat = turn.key
        noise = random.Random(f"{self.seed}/{turn.key}").gauss(0, self.spread)
        value = round(self.time_ms(turn.cell) * MS * (1 + noise))
        failure = "exit code 3" if self.fails(turn) else None
        return Record(
            cell=cell,
            kind=kind,
            repeat=repeat,
            wall_ns=value,
            gpus=turn.cell.gpus,
            value_ns=None if failure or turn.kind is Kind.TRACED else value,
            failure=failure,
            last_lines=("out of memory",) if failure else (),
        )


def go(
    folder: Path,
    asked: Plan,
    runner: Callable[[Turn], Record],
    *,
    traced: bool = False,
    limits: Limits | None = None,
    said: list[Progress] | None = None,
) -> str | None:
    """The whole sweep, or what is left of it."""
    nothing: list[Progress] = []
    schedule = turns(cells(asked), asked.repeats, asked.seed, traced=traced)
    with opened(folder, HEAD) as journal:
        return run_all(
            schedule, journal, runner, limits or asked.limits, (said if said is not None else nothing).append
        )
