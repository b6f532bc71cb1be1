"""Which backend is fastest, and where that changes: the comparison's own statistics on blocks."""

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from traceana.bench.results import BenchRow, BenchVerdict, Crossover
from traceana.compare.estimate import Difference, Estimate, difference
from traceana.compare.verdict import Case, judge

_LEAST_VARIANCE = 1e-12

_Place = tuple[str, int, bool]


def verdicts(rows: Sequence[BenchRow]) -> tuple[BenchVerdict, ...]:
    """One for each operation, size and graph that two backends or more have."""
    places: dict[_Place, list[BenchRow]] = defaultdict(list)
    for row in rows:
        places[row.op, row.message_bytes, row.graph].append(row)
    rivals = [
        (place, ranked[0], other)
        for place, of_place in places.items()
        for ranked in [sorted(of_place, key=_log_ns)]
        for other in ranked[1:]
    ]
    differences = [difference(_estimate(other), _estimate(best)) for _, best, other in rivals]
    judged = judge(
        [Case(difference=one, runs=len(best.blocks_ns)) for one, (_, best, _) in zip(differences, rivals, strict=True)]
    )
    certain: dict[_Place, bool] = {}
    second: dict[_Place, tuple[BenchRow, BenchRow, Difference]] = {}
    for (place, best, other), found, judgement in zip(rivals, differences, judged, strict=True):
        certain[place] = certain.get(place, True) and judgement.verdict == "faster"
        second.setdefault(place, (best, other, found))
    return tuple(_verdict(place, *of_place, certain=certain[place]) for place, of_place in second.items())


def crossovers(found: Sequence[BenchVerdict]) -> tuple[Crossover, ...]:
    """Between neighbouring certain sizes of an operation whose best backends differ."""
    changes = []
    for op, graph in sorted({(one.op, one.graph) for one in found}):
        sure = [one for one in found if (one.op, one.graph, one.certain) == (op, graph, True)]
        sure.sort(key=lambda one: one.message_bytes)
        changes += [
            Crossover(
                op=op, graph=graph, smaller=a.best, larger=b.best, from_bytes=a.message_bytes, to_bytes=b.message_bytes
            )
            for a, b in itertools.pairwise(sure)
            if a.best != b.best
        ]
    return tuple(changes)


def _log_ns(row: BenchRow) -> float:
    return float(np.mean(np.log(np.maximum(row.blocks_ns, 1))))


def _estimate(row: BenchRow) -> Estimate:
    """Blocks of backends take turns in random order, so each is a sample of its own."""
    logs = np.log(np.maximum(row.blocks_ns, 1))
    variance = float(logs.var(ddof=1)) if len(logs) > 1 else 0.0
    # The blocks together are one run's value, so the run's variance is that of their mean.
    own = max(variance / len(logs), _LEAST_VARIANCE)
    return Estimate(log_ns=float(logs.mean()), runs=1, run_variance=own, df=max(len(logs) - 1, 1), between=0.0)


def _verdict(place: _Place, best: BenchRow, other: BenchRow, found: Difference, *, certain: bool) -> BenchVerdict:
    low, high = found.interval()
    op, message_bytes, graph = place
    return BenchVerdict(
        op=op,
        message_bytes=message_bytes,
        graph=graph,
        best=best.backend,
        second=other.backend,
        speedup=math.exp(found.log_ratio),
        ci_low=low,
        ci_high=high,
        certain=certain,
    )
