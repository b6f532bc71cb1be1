"""Two sides compared: operation by operation and size by size, end to end, with a verdict for each difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from traceana.compare import end_to_end, fairness
from traceana.compare.estimate import middle_ns
from traceana.compare.sentence import sentence
from traceana.compare.side_calls import Key, SideCalls, calls_by_key, joined
from traceana.compare.sides import Side, by_repeats
from traceana.compare.verdict import Case, Judgement, judge
from traceana.report import Comparison, ComparisonRow
from traceana.units import duration
from traceana.units import size as size_in_words

_MIB = 1 << 20
# The guide's expected reduction of time by message size: upper edge in bytes, least and most.
_EXPECTED = ((_MIB, 0.0, 0.10), (10 * _MIB, 0.10, 0.30), (None, 0.30, 0.50))
_CLOCK_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One operation at one size before it is judged."""

    key: Key
    basis: str
    sides: tuple[SideCalls, SideCalls]
    times_ns: tuple[int, int]
    case: Case


def compare(baseline: Side, candidate: Side) -> Comparison:
    """Compare every operation and size that both sides have; the rest is listed."""
    ours, theirs = calls_by_key(baseline), calls_by_key(candidate)
    shared = sorted((op, size) for op, size in ours.keys() & theirs.keys() if size is not None)
    rest = _without(ours, shared), _without(theirs, shared)
    unsized = _unsized_operations(*rest)
    pairs: list[tuple[Key, tuple[SideCalls, SideCalls]]] = [(key, (ours[key], theirs[key])) for key in shared]
    pairs += [((op, None), (joined(rest[0], names), joined(rest[1], names))) for op, names in unsized.items()]
    repeats, doubt = by_repeats(baseline, candidate), fairness.doubt(baseline, candidate)
    doubts = {"duration": doubt, "transfer": fairness.copied(baseline, candidate)}
    rows = [_row(key, pair, repeats, doubts) for key, pair in pairs]
    whole = end_to_end.of_runs(baseline.reports, candidate.reports, repeats=repeats, doubt=doubt)
    judged = judge([*(row.case for row in rows), *(measured.case for measured in whole)])
    per_step = bool(baseline.steady_steps and candidate.steady_steps)
    finished = [_finished(row, one, per_step) for row, one in zip(rows, judged, strict=False)]
    reasons = [*fairness.reasons(baseline, candidate), *fairness.call_reasons(ours, theirs, unsized)]
    found = Comparison(
        baseline=baseline.label,
        candidate=candidate.label,
        baseline_runs=tuple(run.label for run in baseline.reports),
        candidate_runs=tuple(run.label for run in candidate.reports),
        interval_basis="repeats" if repeats else "calls",
        worth_per="step" if per_step else "run",
        sentence="",
        comparable=not reasons,
        reasons=tuple(reasons),
        noise=tuple(fairness.noise(baseline, candidate)),
        end_to_end=tuple(one.judged(its) for one, its in zip(whole, judged[len(rows) :], strict=True)),
        rows=tuple(sorted(finished, key=lambda row: -abs(row.worth_ns))),
        only_baseline=_only(rest[0], rest[1], unsized),
        only_candidate=_only(rest[1], rest[0], unsized),
    )
    return replace(found, sentence=sentence(found))


def _without(calls: Mapping[Key, SideCalls], keys: Sequence[Key]) -> dict[Key, SideCalls]:
    return {key: of_key for key, of_key in calls.items() if key not in keys}


def _aliases(op: str) -> tuple[str, ...]:
    # An all-to-all without metadata is one of NCCL's SendRecv kernels, like any point-to-point call.
    return ("all_to_all", "send_recv") if op == "send_recv" else (op,)


def _unsized_operations(ours: Mapping[Key, SideCalls], theirs: Mapping[Key, SideCalls]) -> dict[str, tuple[str, ...]]:
    """Operations that both sides still have and of which one does not know the size, with the names they go by."""
    unsized = {op for op, size in (*ours, *theirs) if size is None}
    present = [{op for op, _ in side} for side in (ours, theirs)]
    return {op: _aliases(op) for op in sorted(unsized) if all(names & set(_aliases(op)) for names in present)}


def _row(key: Key, both: tuple[SideCalls, SideCalls], repeats: bool, doubts: Mapping[str, str | None]) -> _Row:
    basis = "transfer" if all(calls.matched for calls in both) else "duration"
    samples = [calls.samples(basis) for calls in both]
    # What two ranks wait for each other is no part of a transfer, so a late or a slow rank leaves transfers alone.
    case, steady = end_to_end.case_of(*samples, repeats=repeats, doubt=doubts[basis])
    a, b = (ns or middle_ns(calls.samples(basis, warm_up=True)) for ns, calls in zip(steady, both, strict=True))
    clock_doubt = _clock_doubt(both, min(a, b)) if basis == "transfer" else None
    mixture_doubt = fairness.mixture_doubt(*both) if key[1] is None else None
    case = replace(case, doubt=case.doubt or clock_doubt or mixture_doubt)
    return _Row(key=key, basis=basis, sides=both, times_ns=(a, b), case=case)


def _clock_doubt(both: Sequence[SideCalls], shortest_ns: int) -> str | None:
    """Across hosts a transfer is only as good as the clocks agree."""
    clocks = [run.clock for calls in both for run in calls.side.reports]
    residuals = [clock.residual_ns or 0 for clock in clocks if clock.method == "collectives"]
    if max(residuals, default=0) <= _CLOCK_SHARE * shortest_ns:
        return None
    return f"the hosts' clocks agree within {duration(max(residuals))} only, too coarse for {duration(shortest_ns)}"


def _finished(row: _Row, judgement: Judgement, per_step: bool) -> ComparisonRow:
    a, b = row.sides
    exposed = a.exposed_ns(per_step), b.exposed_ns(per_step)
    expected = expected_speedup(row.key[1])
    return ComparisonRow(
        op=row.key[0],
        message_bytes=row.key[1],
        basis=row.basis,
        baseline_count=a.steady,
        candidate_count=b.steady,
        baseline_warm_up=a.warm_up,
        candidate_warm_up=b.warm_up,
        baseline_p50_ns=row.times_ns[0],
        candidate_p50_ns=row.times_ns[1],
        speedup=end_to_end.speedup(row.case.difference, row.times_ns),
        ci_low=judgement.ci_low,
        ci_high=judgement.ci_high,
        p_value=judgement.p_value,
        verdict=judgement.verdict,
        reason=judgement.reason,
        runs_needed=judgement.runs_needed,
        baseline_exposed_ns=round(exposed[0]),
        candidate_exposed_ns=round(exposed[1]),
        worth_ns=round(exposed[0] - exposed[1]),
        expected_low=expected[0],
        expected_high=expected[1],
    )


def expected_speedup(message_bytes: int | None) -> tuple[float | None, float | None]:
    """The guide's expected speed-up: a reduction of time by r is a speed-up of 1 / (1 − r)."""
    if message_bytes is None:
        return None, None
    for edge, least, most in _EXPECTED:
        if edge is None or message_bytes < edge:
            return 1 / (1 - least), 1 / (1 - most)
    return None, None


def _only(
    ours: Mapping[Key, SideCalls], theirs: Mapping[Key, SideCalls], unsized: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    covered = {name for names in unsized.values() for name in names}
    missing = [key for key in ours if key not in theirs and key[0] not in covered]
    return tuple(
        f"{op} {'of unknown size' if size is None else size_in_words(size)}" for op, size in sorted(missing, key=str)
    )
