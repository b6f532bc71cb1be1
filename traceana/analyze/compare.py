"""Two runs side by side, operation by operation and size by size, with an interval for every speed-up.

The interval is a percentile bootstrap of the ratio of medians (Efron and Tibshirani 1993, chapter 13) that takes each
collective as one independent sample. Calls of one run are not independent, so it is an optimistic interval.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from traceana.analyze.calls import Calls
from traceana.analyze.run import AnalyzedRun
from traceana.report import Comparison, ComparisonRow, RunReport
from traceana.trace.columns import Bools, Ints
from traceana.units import size as size_in_words

RESAMPLES = 2000
FEWEST_CALLS = 8
_SEED = 20240611
_MIB = 1 << 20
# The guide's expected reduction of time by message size: upper edge in bytes, least and most.
_EXPECTED = ((_MIB, 0.0, 0.10), (10 * _MIB, 0.10, 0.30), (None, 0.30, 0.50))

_Key = tuple[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """What one side measured for one row: times in ns, one value a collective or a call."""

    times_ns: Ints
    count: int
    basis: str


def compare(baseline: AnalyzedRun, candidate: AnalyzedRun) -> Comparison:
    """Compare every operation and size that both runs have; the rest is listed."""
    ours, theirs = _keys(baseline.calls), _keys(candidate.calls)
    shared = sorted(ours.keys() & theirs.keys(), key=lambda key: (key[0], key[1] or 0))
    unsized = _unsized_operations(ours, theirs)
    rows = [_row(key, baseline.calls, candidate.calls, ours[key], theirs[key]) for key in shared if key[1] is not None]
    rows += [
        _row((op, None), baseline.calls, candidate.calls, _named(baseline, op), _named(candidate, op)) for op in unsized
    ]
    reasons = [*_reasons(baseline.report, candidate.report), *_call_reasons(ours, theirs, unsized)]
    covered = {name for op in unsized for name in _aliases(op)}
    return Comparison(
        baseline=baseline.report.label,
        candidate=candidate.report.label,
        comparable=not reasons,
        reasons=tuple(reasons),
        rows=tuple(rows),
        only_baseline=_only(ours, theirs, covered),
        only_candidate=_only(theirs, ours, covered),
    )


def _keys(calls: Calls) -> dict[_Key, Bools]:
    codes: dict[_Key, list[int]] = {}
    for code, signature in enumerate(calls.signatures):
        codes.setdefault((signature.op, signature.message_bytes), []).append(code)
    return {key: np.isin(calls.signature, found) for key, found in codes.items()}


def _aliases(op: str) -> tuple[str, ...]:
    # An all-to-all without metadata is one of NCCL's SendRecv kernels, like any point-to-point call.
    return ("all_to_all", "send_recv") if op == "send_recv" else (op,)


def _unsized_operations(ours: dict[_Key, Bools], theirs: dict[_Key, Bools]) -> list[str]:
    """Operations that both sides have and of which one side does not know the size."""
    unsized = {op for op, size in (*ours, *theirs) if size is None}
    present = [{op for op, _ in side} for side in (ours, theirs)]
    return sorted(op for op in unsized if all(names & set(_aliases(op)) for names in present))


def _named(run: AnalyzedRun, op: str) -> Bools:
    rows = [run.calls.where(op=name) for name in _aliases(op)]
    return np.asarray(np.logical_or.reduce(rows), dtype=np.bool_)


def _row(key: _Key, ours: Calls, theirs: Calls, our_rows: Bools, their_rows: Bools) -> ComparisonRow:
    matched = bool((ours.matched[our_rows]).all() and (theirs.matched[their_rows]).all())
    a, b = _sample(ours, our_rows, matched), _sample(theirs, their_rows, matched)
    baseline, candidate = (_median(side.times_ns) for side in (a, b))
    low, high = _interval(a.times_ns, b.times_ns)
    expected = _expected(key[1])
    return ComparisonRow(
        op=key[0],
        message_bytes=key[1],
        basis=a.basis,
        baseline_count=a.count,
        candidate_count=b.count,
        baseline_p50_ns=baseline,
        candidate_p50_ns=candidate,
        speedup=baseline / max(candidate, 1),
        ci_low=low,
        ci_high=high,
        verdict=_verdict(low, high),
        expected_low=expected[0],
        expected_high=expected[1],
    )


def _sample(calls: Calls, rows: Bools, matched: bool) -> _Sample:
    """One value a matched collective (the longest transfer of its ranks), else one a call."""
    if not matched:
        return _Sample(times_ns=calls.duration_ns[rows], count=int(rows.sum()), basis="duration")
    numbers, index = np.unique(calls.collective[rows], return_inverse=True)
    longest = np.zeros(len(numbers), dtype=np.int64)
    np.maximum.at(longest, index, calls.transfer_ns[rows])
    return _Sample(times_ns=longest, count=int(rows.sum()), basis="transfer")


def _median(values: Ints) -> int:
    return int(np.sort(values)[(len(values) - 1) // 2])


def _interval(a: Ints, b: Ints) -> tuple[float | None, float | None]:
    """95 % bounds of median(a) / median(b), or None where a side has too few values to tell."""
    if min(len(a), len(b)) < FEWEST_CALLS:
        return None, None
    random = np.random.default_rng(_SEED)
    ratios = _resampled_medians(a, random) / np.maximum(_resampled_medians(b, random), 1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)


def _resampled_medians(values: Ints, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Medians of resamples, drawn without resampling.

    The median of n uniform draws is Beta((n+1)/2, (n+1)/2) distributed, and the quantile function of the sample turns
    it into the median of a resample: O(1) for each, exact for odd n.
    """
    ordered = np.sort(values)
    half = (len(values) + 1) / 2
    index = (random.beta(half, half, RESAMPLES) * len(values)).astype(np.int64)
    return np.asarray(ordered[np.minimum(index, len(values) - 1)], dtype=np.float64)


def _verdict(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "cannot tell"
    if low > 1:
        return "faster"
    return "slower" if high < 1 else "no difference"


def _expected(message_bytes: int | None) -> tuple[float | None, float | None]:
    """The guide's expected speed-up: a reduction of time by r is a speed-up of 1 / (1 − r)."""
    if message_bytes is None:
        return None, None
    for edge, least, most in _EXPECTED:
        if edge is None or message_bytes < edge:
            return 1 / (1 - least), 1 / (1 - most)
    return None, None


def _reasons(a: RunReport, b: RunReport) -> list[str]:
    reasons = []
    if a.world_size != b.world_size:
        reasons.append(f"other world size: {a.world_size} ranks against {b.world_size}")
    if a.gpus != b.gpus:
        reasons.append(f"other GPU: {', '.join(a.gpus) or 'none'} against {', '.join(b.gpus) or 'none'}")
    theirs = dict(b.versions)
    for name, version in a.versions:
        if theirs.get(name, version) != version:
            reasons.append(f"other {name} version: {version} against {theirs[name]}")
    for run in (a, b):
        if run.missing_ranks:
            reasons.append(f"{run.label}: {len(run.missing_ranks)} of {run.world_size} ranks are missing")
        if run.coverage.truncated_files:
            reasons.append(f"{run.label}: {len(run.coverage.truncated_files)} traces end early")
    return reasons


def _call_reasons(ours: dict[_Key, Bools], theirs: dict[_Key, Bools], unsized: list[str]) -> list[str]:
    reasons = []
    if unsized:
        reasons.append(f"one side gives no message sizes: {', '.join(unsized)} compared over all calls, sizes mixed")
    if "send_recv" in unsized:
        reasons.append(
            "send_recv holds all-to-alls too: NCCL runs both as one kernel, which the names cannot tell apart"
        )
    ours_by_op, theirs_by_op = _counts(ours, unsized), _counts(theirs, unsized)
    for op in sorted(ours_by_op.keys() | theirs_by_op.keys()):
        if ours_by_op[op] != theirs_by_op[op]:
            reasons.append(f"other calls: {ours_by_op[op]} {op} against {theirs_by_op[op]}")
    return reasons


def _counts(keys: dict[_Key, Bools], unsized: list[str]) -> Counter[str]:
    merged = {name: op for op in unsized for name in _aliases(op)}
    counts: Counter[str] = Counter()
    for (op, _), rows in keys.items():
        counts[merged.get(op, op)] += int(rows.sum())
    return counts


def _only(ours: dict[_Key, Bools], theirs: dict[_Key, Bools], covered: set[str]) -> tuple[str, ...]:
    missing = [key for key in ours if key not in theirs and key[0] not in covered]
    return tuple(
        f"{op} {'of unknown size' if size is None else size_in_words(size)}" for op, size in sorted(missing, key=str)
    )
