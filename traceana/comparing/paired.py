"""Calls that ran on two backends back to back: the ratio of two times that share their moment.

A collective is over when its last rank is, so its time is the longest of its ranks. Two calls, one with each backend
first, make a unit, so that what the first of a pair pays cancels out.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np
from traceana_capture.agent.choices import CHOICES

from traceana.comparing.estimate import Difference, Sample, Spread, estimate
from traceana.comparing.verdict import Case, Judgement, judge
from traceana.plain import plain
from traceana.report import PairedRow
from traceana.trace.paired import PairedCall


class _Collective(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a whole group; times in ns."""

    baseline_ns: int
    candidate_ns: int
    agree: bool


_Key = tuple[str, int, str, int, str, str]
"""Operation, message size in bytes, dtype, ranks in the group, baseline and candidate."""
_TORCH, _PYNCCL = "torch.distributed", "pynccl"


def paired_rows(calls: Sequence[PairedCall]) -> tuple[PairedRow, ...]:
    """The baseline over the candidate for each operation and size; one family of verdicts."""
    kinds = _collectives(calls)
    cases = [_case(collectives) for collectives in kinds.values()]
    return tuple(
        _row(key, collectives, case, judgement)
        for (key, collectives), case, judgement in zip(kinds.items(), cases, judge(cases), strict=True)
    )


def _row(key: _Key, collectives: Sequence[_Collective], case: Case, judgement: Judgement) -> PairedRow:
    op, message_bytes, dtype, group_size, baseline, candidate = key
    middle = {
        baseline: _middle([collective.baseline_ns for collective in collectives]),
        candidate: _middle([collective.candidate_ns for collective in collectives]),
    }
    of_both = {baseline, candidate} == {_TORCH, _PYNCCL}
    return PairedRow(
        op=op,
        message_bytes=message_bytes,
        dtype=dtype,
        group_size=group_size,
        pairs=len(collectives),
        disagreeing=sum(not collective.agree for collective in collectives),
        torch_p50_ns=middle[_TORCH] if of_both else None,
        pynccl_p50_ns=middle[_PYNCCL] if of_both else None,
        speedup=_speedup(case, collectives),
        ci_low=judgement.ci_low,
        ci_high=judgement.ci_high,
        verdict=judgement.verdict,
        reason=_reason(case, judgement),
        baseline=baseline,
        candidate=candidate,
        baseline_p50_ns=middle[baseline],
        candidate_p50_ns=middle[candidate],
    )


def _collectives(calls: Sequence[PairedCall]) -> dict[_Key, list[_Collective]]:
    """The groups' calls in order of time, by kind; those that not all ranks measured are left out."""
    ranks: dict[tuple[tuple[int, ...], int], list[PairedCall]] = defaultdict(list)
    for call in calls:
        ranks[call.ranks, call.number].append(call)
    kinds: dict[_Key, list[_Collective]] = defaultdict(list)
    for (group, _), same in sorted(ranks.items()):
        if len(same) == len(group):
            one = same[0]
            names = (_title(one.baseline), _title(one.candidate))
            key = (one.op, one.message_bytes, one.dtype, len(group), *names)
            kinds[key].append(
                _Collective(
                    baseline_ns=max(call.baseline_ns for call in same),
                    candidate_ns=max(call.candidate_ns for call in same),
                    agree=all(call.agree for call in same),
                )
            )
    return dict(sorted(kinds.items()))


def _title(name: str) -> str:
    """What traces call the backend."""
    return CHOICES[name].title if name in CHOICES else plain(name)


def _case(collectives: Sequence[_Collective]) -> Case:
    ratios = np.array([math.log(max(one.baseline_ns, 1) / max(one.candidate_ns, 1)) for one in collectives])
    found = estimate([Sample(log_ns=ratios, unit=np.arange(len(ratios)) // 2)], by_repeats=False)
    if found is None:
        return Case(difference=None, lack="too few pairs to tell")
    spread = Spread(error=math.sqrt(found.variance), df=found.df, run_variance=found.run_variance)
    return Case(difference=Difference(log_ratio=found.log_ns, spreads=(spread,)))


def _reason(case: Case, judgement: Judgement) -> str | None:
    if judgement.verdict != "cannot tell":
        return None
    return case.lack or "the interval leaves room for 5 % or more; a longer window gives more pairs"


def _speedup(case: Case, collectives: Sequence[_Collective]) -> float:
    if case.difference is not None:
        return math.exp(case.difference.log_ratio)
    return sum(one.baseline_ns for one in collectives) / max(sum(one.candidate_ns for one in collectives), 1)


def _middle(values: Sequence[int]) -> int:
    return sorted(values)[(len(values) - 1) // 2]
