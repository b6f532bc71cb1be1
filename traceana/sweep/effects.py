"""What each axis was worth: main effects over the pairs of cells that differ in nothing else."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from traceana.comparing.estimate import Difference, Spread
from traceana.comparing.verdict import Case, judge
from traceana.sweep.cells import Cell
from traceana.sweep.expressions import evaluate
from traceana.sweep.plan import Axis, Expected, Plan
from traceana.sweep.report import Effect, ExpectedGain
from traceana.sweep.samples import Sample, between, verdict

Samples = Mapping[str, Sample]
Pair = tuple[Cell, Cell]
"""Cells that differ in one axis alone, the one to hold against first."""


class _Measured(msgspec.Struct, frozen=True, kw_only=True):
    axis: str
    choice: str
    over: str
    ratios: tuple[float, ...]
    case: Case


def effects(axes: Sequence[Axis], cells: Sequence[Cell], samples: Samples) -> tuple[Effect, ...]:
    """Each choice of each axis against the axis' first that it meets in a pair; all of them are one family."""
    found = [
        measured
        for axis in axes
        for choice in axis.choices
        if (measured := _effect(axis, choice.label, cells, samples)) is not None
    ]
    return tuple(
        Effect(
            axis=one.axis,
            choice=one.choice,
            over=one.over,
            pairs=len(one.ratios),
            least=min(one.ratios),
            most=max(one.ratios),
            verdict=verdict(math.exp(sum(map(math.log, one.ratios)) / len(one.ratios)), its),
        )
        for one, its in zip(found, judge([one.case for one in found]), strict=True)
    )


def pairs(axis: str, over: str, choice: str, cells: Sequence[Cell]) -> list[Pair]:
    """Cells with `over` and with `choice` that have all else alike."""
    others = {_without(cell, axis): cell for cell in cells if cell.choice(axis) == over}
    chosen = [cell for cell in cells if cell.choice(axis) == choice]
    return [(others[_without(cell, axis)], cell) for cell in chosen if _without(cell, axis) in others]


def expected_gains(plan: Plan, cells: Sequence[Cell], samples: Samples) -> tuple[ExpectedGain, ...]:
    """What was expected of pairs of cells, and what was measured."""
    return tuple(
        gain
        for one in plan.expected
        for pair in pairs(one.axis, one.over, one.choice, cells)
        if _meant(one, plan, pair[1]) and (gain := _gain(one, pair, samples)) is not None
    )


def _without(cell: Cell, axis: str) -> tuple[tuple[str, str], ...]:
    return tuple(setting for setting in cell.settings if setting[0] != axis)


def _effect(axis: Axis, choice: str, cells: Sequence[Cell], samples: Samples) -> _Measured | None:
    for over in (one.label for one in axis.choices):
        if over == choice:
            return None
        both = [
            (samples[a.label], samples[b.label])
            for a, b in pairs(axis.name, over, choice, cells)
            if _have(samples, a, b)
        ]
        known = [found for a, b in both if (found := between(a, b))]
        if known:
            return _Measured(
                axis=axis.name,
                choice=choice,
                over=over,
                ratios=tuple(math.exp(one.log_ratio) for one in known),
                case=Case(difference=_mean(known), runs=min(len(one.counted_ns) for two in both for one in two)),
            )
    return None


def _have(samples: Samples, *cells: Cell) -> bool:
    return all(cell.label in samples for cell in cells)


def _mean(found: Sequence[Difference]) -> Difference:
    """Of differences between cells of their own; degrees of freedom by Welch and Satterthwaite."""
    spreads = [one.spreads[0] for one in found]
    squares = [spread.error**2 for spread in spreads]
    whole = sum(squares)
    return Difference(
        log_ratio=sum(one.log_ratio for one in found) / len(found),
        spreads=(
            Spread(
                error=math.sqrt(whole) / len(found),
                df=whole**2 / sum(square**2 / spread.df for square, spread in zip(squares, spreads, strict=True)),
                run_variance=sum(spread.run_variance for spread in spreads) / len(found) ** 2,
            ),
        ),
    )


def _meant(one: Expected, plan: Plan, cell: Cell) -> bool:
    texts = dict(plan.values) | chosen_texts(plan.axes, cell)
    return bool(evaluate(one.where, texts))


def chosen_texts(axes: Sequence[Axis], cell: Cell) -> dict[str, str]:
    """The text of each axis in this cell."""
    return {
        axis.name: choice.text for axis in axes for choice in axis.choices if choice.label == cell.choice(axis.name)
    }


def _gain(one: Expected, pair: Pair, samples: Samples) -> ExpectedGain | None:
    if not _have(samples, *pair):
        return None
    found = between(samples[pair[0].label], samples[pair[1].label])
    if found is None:
        return None
    low, high = (1 - 1 / bound for bound in found.interval())
    return ExpectedGain(
        cell=pair[1].label,
        over=pair[0].label,
        low=one.low,
        high=one.high,
        measured=1 - math.exp(-found.log_ratio),
        ci_low=low,
        ci_high=high,
        verdict=_against(one, low, high),
    )


def _against(one: Expected, low: float, high: float) -> str:
    """By where the whole interval lies."""
    if high < one.low:
        return "less"
    if low > one.high:
        return "more"
    return "as expected" if low >= one.low and high <= one.high else "cannot tell"
