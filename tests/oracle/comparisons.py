"""Two sides of three or more runs each, compared by hand: steady calls, their typical times, and what they expose.

Steady calls are all but those of the first step, those before it, the first of each kind on each rank, and the peers of
these. A collective's transfer is that of its slowest rank. A side's time is the geometric mean of its runs' medians;
how a run's median is drawn from its steps is the estimator's own choice, so it is compared within 2 %.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import exp, log
from statistics import fmean, median
from typing import Any

from tests.oracle.calls import Call
from tests.oracle.figures import Figures, Run
from tests.oracle.raw import Event, RawRank
from tests.oracle.spans import base, user_spans

Key = tuple[str, int | None, int | None]
ALIKE = 0.02


def steady(run: Run, second_step: str | None) -> list[Call]:
    """The calls that a comparison looks at; `second_step` is that span's name, None in a run without steps."""
    early: set[int] = set()
    for rank, calls in run.calls.items():
        kinds: set[tuple[object, ...]] = set()
        spans = user_spans(run.raws[rank])
        second = next(span.start for span in spans if span.name == second_step) if second_step else 0
        for call in calls:
            kind = call.op, call.dtype, call.bytes, call.meta.get("Process Group Name"), len(call.members)
            if kind not in kinds or _launched(run.raws[rank], call) < second:
                early.add(id(call))
            kinds.add(kind)
    for calls in run.matched.sets:
        if any(id(call) in early for call in calls):
            early |= {id(call) for call in calls}
    return [call for call in run.all_calls if id(call) not in early]


def _steps(raw: RawRank, name: str) -> list[Event]:
    return [span for span in user_spans(raw) if base(span.name) == name]


def _launched(raw: RawRank, call: Call) -> int:
    launch = raw.launches.get(call.kernels[0].args.get("correlation", 0))
    return launch.start if launch else call.start


def row_figures(runs: Sequence[Run], step_name: str, side: str) -> dict[Key, Figures]:
    """One side of ComparisonRow, by operation, size and group size."""
    chosen: dict[Key, list[list[Call]]] = defaultdict(list)
    everything: dict[Key, int] = defaultdict(int)
    for run in runs:
        by_key: dict[Key, list[Call]] = defaultdict(list)
        for call in steady(run, _steps(run.raws[min(run.raws)], step_name)[1].name):
            by_key[_key(call)].append(call)
        for key, calls in by_key.items():
            chosen[key].append(calls)
        for call in run.all_calls:
            everything[_key(call)] += 1
    steps = [len(_steps(run.raws[min(run.raws)], step_name)) - 1 for run in runs]
    shares = [len(run.raws) * count for run, count in zip(runs, steps, strict=True)]
    return {
        key: {
            f"{side}_count": sum(map(len, of_runs)),
            f"{side}_warm_up": everything[key] - sum(map(len, of_runs)),
            f"{side}_p50_ns": round(exp(fmean(log(median(_slowest(calls))) for calls in of_runs))),
            f"{side}_exposed_ns": round(
                fmean(sum(call.exposed for call in calls) / share for calls, share in zip(of_runs, shares, strict=True))
            ),
        }
        for key, of_runs in chosen.items()
    }


def _key(call: Call) -> Key:
    return call.op, call.bytes, call.group_size


def _slowest(calls: Iterable[Call]) -> list[int]:
    transfers: dict[int, int] = defaultdict(int)
    for call in calls:
        if call.collective is not None:
            transfers[call.collective] = max(transfers[call.collective], call.transfer)
    return list(transfers.values())


def agrees(by_hand: Figures, row: Any) -> bool:
    """Counts and exposed time are equal, times alike."""
    exact = all(value == row[key] for key, value in by_hand.items() if not key.endswith("p50_ns"))
    times = [(value, row[key]) for key, value in by_hand.items() if key.endswith("p50_ns")]
    return exact and all(abs(found / value - 1) <= ALIKE for value, found in times)


def consistent(row: Any) -> bool:
    """A speed-up is the quotient of the times beside it, inside its interval, and a worth what is exposed less."""
    ratio = row["baseline_p50_ns"] / row["candidate_p50_ns"]
    close = abs(row["speedup"] / ratio - 1) < 1e-3
    bounded = row["ci_low"] is None or row["ci_low"] <= row["speedup"] <= row["ci_high"]
    saved = row["baseline_exposed_ns"] - row["candidate_exposed_ns"]
    return close and bounded and (row["worth_ns"] in (None, 0) or abs(row["worth_ns"] - saved) <= 1)
