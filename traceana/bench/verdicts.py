"""Which backend is fastest, and where that changes: the comparison's own statistics on blocks."""

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from traceana.analyze.guide import expected_speedup
from traceana.compare.estimate import Difference, Estimate, difference
from traceana.compare.verdict import SMALLEST_RELEVANT, Case, judge
from traceana.report.bench import BenchRow, BenchVerdict, Crossover, GuideCheck

_LEAST_VARIANCE = 1e-12

_Place = tuple[str, int, bool]
"""Operation, size, and whether in a graph."""
_Rows = Mapping[_Place, Mapping[str, BenchRow]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """All that follows from the rows."""

    verdicts: tuple[BenchVerdict, ...]
    crossovers: tuple[Crossover, ...]
    guide: tuple[GuideCheck, ...]


def judged(rows: Sequence[BenchRow]) -> Judged:
    """Verdicts of each operation and size, the sizes where they change, and what the guide expects beside them."""
    places = by_place(rows)
    found = verdicts(places)
    return Judged(verdicts=found, crossovers=crossovers(found, places), guide=guide_checks(places))


def by_place(rows: Sequence[BenchRow]) -> _Rows:
    """The rows of each operation, size and graph by their backend."""
    places: dict[_Place, dict[str, BenchRow]] = defaultdict(dict)
    for row in rows:
        places[row.op, row.message_bytes, row.graph][row.backend] = row
    return places


def verdicts(places: _Rows) -> tuple[BenchVerdict, ...]:
    """One for each operation, size and graph that two backends or more have."""
    rivals = [
        (place, ranked[0], other)
        for place, of_place in places.items()
        for ranked in [sorted(of_place.values(), key=_log_ns)]
        for other in ranked[1:]
    ]
    differences = [difference(_estimate(other), _estimate(best)) for _, best, other in rivals]
    judgements = judge(
        [Case(difference=one, runs=len(best.blocks_ns)) for one, (_, best, _) in zip(differences, rivals, strict=True)]
    )
    certain: dict[_Place, bool] = {}
    second: dict[_Place, tuple[BenchRow, BenchRow, Difference]] = {}
    for (place, best, other), found, judgement in zip(rivals, differences, judgements, strict=True):
        certain[place] = certain.get(place, True) and judgement.verdict == "faster"
        second.setdefault(place, (best, other, found))
    return tuple(_verdict(place, *of_place, certain=certain[place]) for place, of_place in second.items())


def crossovers(found: Sequence[BenchVerdict], places: _Rows) -> tuple[Crossover, ...]:
    """Between neighbouring certain sizes of an operation whose best backends differ."""
    changes = []
    for op, graph in sorted({(one.op, one.graph) for one in found}):
        sure = [one for one in found if (one.op, one.graph, one.certain) == (op, graph, True)]
        sure.sort(key=lambda one: one.message_bytes)
        changes += [_crossover(a, b, places) for a, b in itertools.pairwise(sure) if a.best != b.best]
    return tuple(changes)


def _crossover(a: BenchVerdict, b: BenchVerdict, places: _Rows) -> Crossover:
    """Where the logarithm of smaller's time over larger's, and its bounds, pass 0 on straight lines between sizes."""
    sizes, middle, reach = [], [], []
    for (op, size, graph), of_place in sorted(places.items()):
        inside = (op, graph) == (a.op, a.graph) and a.message_bytes <= size <= b.message_bytes
        if inside and a.best in of_place and b.best in of_place:
            one = difference(_estimate(of_place[a.best]), _estimate(of_place[b.best]))
            sizes.append(math.log(size))
            middle.append(one.log_ratio)
            reach.append(math.log(one.interval()[1]) - one.log_ratio)
    at, bounds = np.array(middle), np.array(reach)
    low, here, high = (_crosses(sizes, line, a, b) for line in (at + bounds, at, at - bounds))
    return Crossover(
        op=a.op,
        graph=a.graph,
        smaller=a.best,
        larger=b.best,
        from_bytes=a.message_bytes,
        to_bytes=b.message_bytes,
        at_bytes=here,
        low_bytes=min(low, here),
        high_bytes=max(high, here),
    )


def _crosses(
    log_sizes: Sequence[float], line: "np.ndarray[tuple[int], np.dtype[np.float64]]", a: BenchVerdict, b: BenchVerdict
) -> int:
    """Where the line last passes 0 from below, as what came before may be noise."""
    below = np.flatnonzero(line < 0)
    last = int(below[-1]) if len(below) else -1
    if 0 <= last < len(line) - 1:
        share = -line[last] / (line[last + 1] - line[last])
        return round(math.exp(log_sizes[last] + share * (log_sizes[last + 1] - log_sizes[last])))
    # Not all of these sizes have both, so somewhere between what is known and the next one's.
    known = math.exp(log_sizes[last]) if len(below) else a.message_bytes
    return round(math.sqrt(known * b.message_bytes))


def guide_checks(places: _Rows) -> tuple[GuideCheck, ...]:
    """PyNccl against torch.distributed wherever both were measured."""
    found = []
    for (op, size, graph), of_place in places.items():
        if "torch" in of_place and "pynccl" in of_place:
            one = difference(_estimate(of_place["torch"]), _estimate(of_place["pynccl"]))
            low, high = one.interval()
            least, most = expected_speedup(size)
            assert least is not None
            assert most is not None
            found.append(
                GuideCheck(
                    op=op,
                    message_bytes=size,
                    graph=graph,
                    speedup=math.exp(one.log_ratio),
                    ci_low=low,
                    ci_high=high,
                    expected_low=least,
                    expected_high=most,
                    verdict=_lies(low, high, least, most),
                )
            )
    return tuple(found)


def _lies(low: float, high: float, least: float, most: float) -> str:
    """A bound that is met but for a difference that matters to nobody is met."""
    least, most = least / (1 + SMALLEST_RELEVANT), most * (1 + SMALLEST_RELEVANT)
    if high < least:
        return "below"
    if low > most:
        return "above"
    return "within" if least <= low and high <= most else "cannot tell"


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
