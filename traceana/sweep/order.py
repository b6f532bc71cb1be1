"""In which order a sweep's runs go: random blocks, each with every cell once, so that drift strikes all cells alike.

A randomized complete block design (Box, Hunter and Hunter, Statistics for Experimenters, 2nd edition, chapter 4).
"""

import random
from collections.abc import Sequence
from enum import Enum

import msgspec

from traceana.sweep.cells import Cell


class Kind(str, Enum):
    """Runs that are timed go without a profiler; a traced one says why, and is no time.

    A search's runs choose between settings, so they are no evidence for the one they chose.
    """

    SEARCH = "search"
    TIMED = "timed"
    TRACED = "traced"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One run that is to be: repeat 0 of a cell warms up."""

    cell: Cell
    kind: Kind
    repeat: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What the journal knows it by."""
        return self.cell.label, self.kind.value, self.repeat

    @property
    def title(self) -> str:
        """ "size=1 nccl=plain, repeat 2"."""
        if self.kind is Kind.TRACED:
            return f"{self.cell.label}, traced"
        if self.kind is Kind.SEARCH:
            return f"{self.cell.label}, {f'round {self.repeat}' if self.repeat else 'warm-up'}"
        return f"{self.cell.label}, {f'repeat {self.repeat}' if self.repeat else 'warm-up'}"


def turns(cells: Sequence[Cell], repeats: int, seed: int, *, traced: bool) -> tuple[Turn, ...]:
    """Block after block: warm-ups, the repeats, then a traced run of each cell. More repeats leave earlier blocks."""
    found = [turn for repeat in range(repeats + 1) for turn in block(cells, Kind.TIMED, repeat, seed)]
    return tuple(found + [Turn(cell=cell, kind=Kind.TRACED, repeat=1) for cell in cells if traced])


def block(cells: Sequence[Cell], kind: Kind, repeat: int, seed: int) -> tuple[Turn, ...]:
    """Each cell once, in random order."""
    return tuple(Turn(cell=cell, kind=kind, repeat=repeat) for cell in _shuffled(cells, seed, repeat))


def _shuffled(cells: Sequence[Cell], seed: int, number: int) -> list[Cell]:
    return random.Random(f"{seed}/{number}").sample(cells, len(cells))
