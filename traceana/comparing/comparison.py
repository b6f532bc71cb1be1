"""Two sides compared: operation by operation and size by size, end to end, with a verdict for each difference."""

from collections.abc import Container, Mapping, Sequence

from msgspec.structs import replace

from traceana.analyze.control import rows_of_control
from traceana.comparing import end_to_end, fairness
from traceana.comparing.pairing import pair
from traceana.comparing.rows import Row, judged, rows
from traceana.comparing.sentence import sentence
from traceana.comparing.side_calls import Key, SideCalls, calls_by_key
from traceana.comparing.sides import Side, by_repeats
from traceana.comparing.verdict import Judgement, judge
from traceana.comparing.worth import per_step
from traceana.report import Comparison, ComparisonRow


def compare(baseline: Side, candidate: Side) -> Comparison:
    """Compare every operation and size that both sides have; the rest is listed."""
    ours, theirs = calls_by_key(baseline), calls_by_key(candidate)
    pairing = pair(ours, theirs)
    calls, times = rows(pairing.pairs, baseline, candidate), _times(baseline, candidate)
    verdicts = judge([*(one.case for one in calls), *(one.case for one in times)])
    behind = rows_of_control(one for side in (baseline, candidate) for run in side.reports for one in run.operations)
    reasons = [
        *fairness.reasons(baseline, candidate),
        *fairness.call_reasons(_without(ours, behind), _without(theirs, behind), pairing.unsized),
    ]
    a_step = per_step(baseline, candidate)
    found = Comparison(
        baseline=baseline.label,
        candidate=candidate.label,
        baseline_runs=tuple(run.label for run in baseline.reports),
        candidate_runs=tuple(run.label for run in candidate.reports),
        interval_basis="repeats" if by_repeats(baseline, candidate) else "calls",
        worth_per="step" if a_step else "run",
        sentence="",
        comparable=not reasons,
        reasons=tuple(reasons),
        noise=tuple(fairness.noise(baseline, candidate)),
        end_to_end=tuple(one.judged(its) for one, its in zip(times, verdicts[len(calls) :], strict=True)),
        rows=_by_worth(calls, verdicts[: len(calls)], a_step, behind),
        only_baseline=pairing.only_baseline,
        only_candidate=pairing.only_candidate,
        overlap_price_known=baseline.overlap_price_known and candidate.overlap_price_known,
    )
    return replace(found, sentence=sentence(found))


def _without(calls: Mapping[Key, SideCalls], behind: Container[tuple[str, int | None]]) -> dict[Key, SideCalls]:
    return {key: of_key for key, of_key in calls.items() if (key.op, key.message_bytes) not in behind}


def _times(baseline: Side, candidate: Side) -> list[end_to_end.Measured]:
    return end_to_end.of_runs(
        baseline.reports,
        candidate.reports,
        repeats=by_repeats(baseline, candidate),
        doubt=fairness.doubt(baseline, candidate),
    )


def _by_worth(
    calls: Sequence[Row], verdicts: Sequence[Judgement], a_step: bool, behind: Container[tuple[str, int | None]]
) -> tuple[ComparisonRow, ...]:
    """The row worth most first, those whose worth is not known last, and those of `behind` after all."""
    found = [judged(row, its, per_step=a_step) for row, its in zip(calls, verdicts, strict=True)]
    marked = [replace(row, control=(row.op, row.message_bytes) in behind) for row in found]
    return tuple(sorted(marked, key=lambda row: (row.control, row.worth_ns is None, -abs(row.worth_ns or 0))))
