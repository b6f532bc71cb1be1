"""Which backend is fastest, and where that changes: the comparison's own statistics on blocks."""

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from traceana.analyze.guide import expected_speedup
from traceana.comparing.estimate import Difference, Estimate, difference
from traceana.comparing.verdict import SMALLEST_RELEVANT, Case, judge
from traceana.report.bench import BenchRow, BenchVerdict, Crossover, GuideCheck

_FROM_BENCH_TO_BENCH = 0.0075
"""Standard deviation of a backend's logarithm of time between benches on one machine, which blocks of one do not show.

Two benches on two H200 gave 126 ratios of two backends each. With it 83 % of the second's lie inside the first's 95 %
intervals, as they should where both vary, and all intervals overlap; without it 33 % do, and 56 % overlap.
"""

_Place = tuple[str, int, bool]
"""Operation, size, and whether in a graph."""
_Rows = Mapping[_Place, Mapping[str, BenchRow]]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
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
    leaders: dict[_Place, list[str]] = {}
    second: dict[_Place, tuple[BenchRow, BenchRow, Difference]] = {}
    for (place, best, other), found, judgement in zip(rivals, differences, judgements, strict=True):
        leaders.setdefault(place, [best.backend])
        if judgement.verdict != "faster":
            leaders[place].append(other.backend)
        second.setdefault(place, (best, other, found))
    return tuple(_verdict(place, *of_place, leaders[place]) for place, of_place in second.items())


def crossovers(found: Sequence[BenchVerdict], places: _Rows) -> tuple[Crossover, ...]:
    """Where no backend leads on both sides."""
    return tuple(
        _crossover(a, b, places)
        for op, graph in sorted({(one.op, one.graph) for one in found})
        for a, b in itertools.pairwise(stretches([one for one in found if (one.op, one.graph) == (op, graph)], places))
    )


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """Neighbouring sizes, ascending, that one backend leads at all of."""

    backend: str
    verdicts: tuple[BenchVerdict, ...]


def stretches(found: Sequence[BenchVerdict], places: _Rows) -> list[Stretch]:
    """The longest such from the smallest size on, of one operation, eager or in a graph."""
    runs: list[tuple[set[str], list[BenchVerdict]]] = []
    for one in sorted(found, key=lambda verdict: verdict.message_bytes):
        common = runs[-1][0] & set(one.leaders) if runs else set()
        if common:
            runs[-1] = (common, [*runs[-1][1], one])
        else:
            runs.append((set(one.leaders), [one]))
    return [Stretch(backend=_fastest(names, of_run, places), verdicts=tuple(of_run)) for names, of_run in runs]


def _fastest(names: set[str], found: Sequence[BenchVerdict], places: _Rows) -> str:
    rows = [places[one.op, one.message_bytes, one.graph] for one in found]
    return min(sorted(names), key=lambda name: sum(_log_ns(of_place[name]) for of_place in rows))


def _crossover(a: Stretch, b: Stretch, places: _Rows) -> Crossover:
    """Where the logarithm of smaller's time over larger's, and its bounds, pass 0 on straight lines between sizes."""
    one = a.verdicts[0]
    behind = [v.message_bytes for v in a.verdicts if b.backend not in v.leaders]
    from_bytes, to_bytes = max(behind, default=one.message_bytes), b.verdicts[0].message_bytes
    sizes, middle, reach = [], [], []
    for (op, size, graph), of_place in sorted(places.items()):
        inside = (op, graph) == (one.op, one.graph) and from_bytes <= size <= to_bytes
        if inside and a.backend in of_place and b.backend in of_place:
            found = difference(_estimate(of_place[a.backend]), _estimate(of_place[b.backend]))
            sizes.append(math.log(size))
            middle.append(found.log_ratio)
            reach.append(math.log(found.interval()[1]) - found.log_ratio)
    at, bounds = np.array(middle), np.array(reach)
    lines = (at + bounds, at, at - bounds)
    low, here, high = (_crosses(sizes, line, from_bytes, to_bytes) for line in lines)
    return Crossover(
        op=one.op,
        graph=one.graph,
        smaller=a.backend,
        larger=b.backend,
        from_bytes=from_bytes,
        to_bytes=to_bytes,
        at_bytes=here,
        low_bytes=min(low, here),
        high_bytes=max(high, here),
    )


def _crosses(
    log_sizes: Sequence[float], line: "np.ndarray[tuple[int], np.dtype[np.float64]]", from_bytes: int, to_bytes: int
) -> int:
    """Where the line last passes 0 from below, as what came before may be noise."""
    below = np.flatnonzero(line < 0)
    last = int(below[-1]) if len(below) else -1
    if 0 <= last < len(line) - 1:
        share = -line[last] / (line[last + 1] - line[last])
        return round(math.exp(log_sizes[last] + share * (log_sizes[last + 1] - log_sizes[last])))
    # Not all of these sizes have both, so somewhere between what is known and the next one's.
    known = math.exp(log_sizes[last]) if len(below) else from_bytes
    return round(math.sqrt(known * to_bytes))


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
    # The blocks together are one run's value, so the run's variance is that of their mean, and of how runs differ.
    own = variance / len(logs) + _FROM_BENCH_TO_BENCH**2
    return Estimate(log_ns=float(logs.mean()), runs=1, run_variance=own, df=max(len(logs) - 1, 1), between=0.0)


def _verdict(place: _Place, best: BenchRow, other: BenchRow, found: Difference, leaders: Sequence[str]) -> BenchVerdict:
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
        certain=len(leaders) == 1,
        leaders=tuple(leaders),
    )
