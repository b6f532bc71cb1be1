"""Which cell is first, which are tied with it, how cells scale, and which no other beats in both time and GPUs."""

import itertools
import math
from collections.abc import Mapping, Sequence

from traceana.comparing.verdict import FALSE_ALARMS, holm, judge
from traceana.sweep.cells import Cell
from traceana.sweep.report import Scaling, Verdict
from traceana.sweep.samples import Sample, between, case, speedup, verdict

Samples = Mapping[str, Sample]


def against(baseline: str, samples: Samples) -> dict[str, Verdict]:
    """Every other cell against the baseline, one family of verdicts; empty where the baseline has no time."""
    if baseline not in samples:
        return {}
    others = [label for label in samples if label != baseline]
    first = samples[baseline]
    verdicts = judge([case(first, samples[label]) for label in others])
    return {label: verdict(speedup(first, samples[label]), its) for label, its in zip(others, verdicts, strict=True)}


def ranked(samples: Samples) -> list[str]:
    """The fastest first."""
    return sorted((label for label in samples if samples[label].time_ns), key=lambda label: samples[label].time_ns or 0)


def tied(samples: Samples) -> frozenset[str]:
    """The fastest cell and all that cannot be told from it.

    That it is the fastest was chosen by its times, so all pairs of cells are one family.
    """
    order = ranked(samples)
    together = list(itertools.combinations(order, 2))
    found = [between(samples[a], samples[b]) for a, b in together]
    adjusted = holm([one.p_value if one else 1.0 for one in found])
    worse = {b for (a, b), p in zip(together, adjusted, strict=True) if a == order[0] and p < FALSE_ALARMS}
    return frozenset(order) - worse


def scaling(cells: Sequence[Cell], samples: Samples, axes: frozenset[str]) -> dict[str, Scaling]:
    """Each cell against the one with the fewest GPUs and all else alike but `axes`, or the fastest of the fewest."""
    known = [cell for cell in cells if cell.gpus and cell.label in samples]
    fewest = min((cell.gpus for cell in known if cell.gpus), default=0)
    found = {}
    for cell in known:
        small = [other for other in known if other.gpus == fewest]
        alike = [other for other in small if _without(other, axes) == _without(cell, axes)]
        reference = min(alike or small, key=lambda other: samples[other.label].time_ns or math.inf)
        if cell.gpus != fewest:
            found[cell.label] = _scaling(reference, cell, samples)
    return found


def pareto(cells: Sequence[Cell], samples: Samples) -> frozenset[str]:
    """Cells that no other beats both in time and in GPU time, with the times as they stand."""
    points = {
        cell.label: (time, time * cell.gpus)
        for cell in cells
        if cell.gpus and cell.label in samples and (time := samples[cell.label].time_ns)
    }
    return frozenset(
        label
        for label, (time, cost) in points.items()
        if not any(a <= time and b <= cost and (a, b) != (time, cost) for a, b in points.values())
    )


def _without(cell: Cell, axes: frozenset[str]) -> tuple[tuple[str, str], ...]:
    return tuple(setting for setting in cell.settings if setting[0] not in axes)


def _scaling(reference: Cell, cell: Cell, samples: Samples) -> Scaling:
    a, b = samples[reference.label], samples[cell.label]
    share = (reference.gpus or 1) / (cell.gpus or 1)
    found = between(a, b)
    low, high = found.interval() if found else (None, None)
    return Scaling(
        reference=reference.label,
        efficiency=speedup(a, b) * share,
        ci_low=None if low is None else low * share,
        ci_high=None if high is None else high * share,
    )
