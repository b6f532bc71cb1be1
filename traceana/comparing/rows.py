"""The rows of a comparison: how long an operation takes on both sides, and what its difference is worth."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from traceana.analyze.collectives import C10D
from traceana.analyze.guide import expected_speedup
from traceana.comparing import end_to_end, fairness
from traceana.comparing.estimate import middle_ns
from traceana.comparing.pairing import Pair
from traceana.comparing.side_calls import SideCalls
from traceana.comparing.sides import Side, by_repeats
from traceana.comparing.verdict import Case, Judgement
from traceana.comparing.worth import worth
from traceana.report import ComparisonRow
from traceana.units import duration

PYNCCL = "pynccl"
"""The backend's name in the traces that `traceana capture` annotates."""
_CLOCK_SHARE = 0.1
"""Of a transfer: where clocks agree less closely than this, they say more than the backend."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One operation at one size before it is judged."""

    pair: Pair
    basis: str
    times_ns: tuple[int, int]
    case: Case


def rows(pairs: Sequence[Pair], baseline: Side, candidate: Side) -> list[Row]:
    """All rows, to be judged."""
    doubts = {"duration": fairness.doubt(baseline, candidate), "transfer": fairness.transfer_doubt(baseline, candidate)}
    return [_row(pair, by_repeats(baseline, candidate), doubts) for pair in pairs]


def _row(pair: Pair, repeats: bool, doubts: Mapping[str, str | None]) -> Row:
    basis = "transfer" if all(calls.matched for calls in pair.sides) else "duration"
    samples = [calls.samples(basis) for calls in pair.sides]
    # What two ranks wait for each other is no part of a transfer, so a late or a slow rank leaves transfers alone.
    case, steady = end_to_end.case_of(*samples, repeats=repeats, doubt=doubts[basis])
    a, b = (ns or middle_ns(calls.samples(basis, warm_up=True)) for ns, calls in zip(steady, pair.sides, strict=True))
    clock_doubt = _clock_doubt(pair.sides, min(a, b)) if basis == "transfer" else None
    case = replace(case, doubt=case.doubt or clock_doubt or pair.doubt)
    return Row(pair=pair, basis=basis, times_ns=(a, b), case=case)


def _clock_doubt(both: Sequence[SideCalls], shortest_ns: int) -> str | None:
    """Across hosts a transfer is only as good as the clocks agree."""
    clocks = [run.clock for calls in both for run in calls.side.reports]
    residuals = [clock.residual_ns or 0 for clock in clocks if clock.method == "collectives"]
    if max(residuals, default=0) <= _CLOCK_SHARE * shortest_ns:
        return None
    return f"the hosts' clocks agree within {duration(max(residuals))} only, too coarse for {duration(shortest_ns)}"


def judged(row: Row, judgement: Judgement, *, per_step: bool) -> ComparisonRow:
    """The report's row."""
    a, b = row.pair.sides
    speedup = end_to_end.speedup(row.case.difference, row.times_ns)
    saved = worth((a, b), speedup, judgement.verdict, a_step=per_step)
    expected = _expected(row.pair)
    return ComparisonRow(
        op=row.pair.key.op,
        message_bytes=row.pair.key.message_bytes,
        group_size=row.pair.key.group_size,
        basis=row.basis,
        baseline_count=a.steady,
        candidate_count=b.steady,
        baseline_warm_up=a.warm_up,
        candidate_warm_up=b.warm_up,
        baseline_p50_ns=row.times_ns[0],
        candidate_p50_ns=row.times_ns[1],
        speedup=speedup,
        ci_low=judgement.ci_low,
        ci_high=judgement.ci_high,
        p_value=judgement.p_value,
        verdict=judgement.verdict,
        reason=judgement.reason,
        runs_needed=judgement.runs_needed,
        baseline_exposed_ns=saved.baseline_exposed_ns,
        candidate_exposed_ns=saved.candidate_exposed_ns,
        worth_ns=saved.ns,
        worth_reason=saved.reason,
        expected_low=expected[0],
        expected_high=expected[1],
    )


def _expected(pair: Pair) -> tuple[float | None, float | None]:
    """What the guide expects of PyNccl over torch.distributed on GPUs; of nothing else does it say anything."""
    a, b = pair.sides
    on_gpu = all(rank.source == "gpu" for calls in (a, b) for run in calls.side.reports for rank in run.ranks)
    if not on_gpu or (a.backends, b.backends) != ({C10D}, {PYNCCL}):
        return None, None
    return expected_speedup(pair.key.message_bytes)
