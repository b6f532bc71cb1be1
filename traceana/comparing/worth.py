"""What a difference is worth: by how much less of the candidate's communication is exposed, and slows compute down."""

import math
from collections.abc import Sequence

import msgspec

from traceana import units
from traceana.comparing import fairness
from traceana.comparing.end_to_end import EXPOSED_FLOOR_NS, common
from traceana.comparing.side_calls import SideCalls, Spent
from traceana.comparing.sides import Side
from traceana.comparing.verdict import SMALLEST_RELEVANT


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """See ComparisonRow for the fields."""

    baseline_exposed_ns: int
    candidate_exposed_ns: int
    ns: int | None
    reason: str | None


def per_step(baseline: Side, candidate: Side) -> bool:
    """Whether every run has steady steps and both sides' steps are one span; else a run is what times are told of."""
    steps = [[run.steps for run in side.reports] for side in (baseline, candidate)]
    return bool(baseline.steady_steps and candidate.steady_steps and common(*steps))


def worth(both: Sequence[SideCalls], speedup: float, verdict: str, *, a_step: bool) -> Worth:
    """What one row is worth a step, or a run where `a_step` is false."""
    a, b = (calls.spent(per_step=a_step) for calls in both)
    baseline, candidate = round(a.exposed_ns), round(b.exposed_ns)
    reason = _other_work(both, a, b, a_step) or _shared(a, b) or _against_its_row(baseline, candidate, speedup, verdict)
    known = all(calls.side.overlap_price_known for calls in both)
    fall = baseline - candidate + (round(a.slowed_ns - b.slowed_ns) if known else 0)
    opposite = bool(speedup) and fall * math.log(speedup) < 0
    return Worth(
        baseline_exposed_ns=baseline,
        candidate_exposed_ns=candidate,
        ns=None if reason else 0 if opposite else fall,
        reason=reason,
    )


def _other_work(both: Sequence[SideCalls], a: Spent, b: Spent, a_step: bool) -> str | None:
    """Why the two exposed times are not of the same work."""
    if text := fairness.other_ranks(both[0].side, both[1].side):
        return text
    per = "step" if a_step else "run"
    if _differ(a.calls, b.calls):
        return f"other calls a {per}: {a.calls:.4g} on a rank against {b.calls:.4g}"
    windows = [1.0, 1.0] if a_step else [_steady_calls(calls.side) for calls in both]
    if _differ(*windows):
        return f"other windows: {windows[0]:.4g} steady calls on a rank against {windows[1]:.4g}, and no step to go by"
    return None


def _differ(a: float, b: float) -> bool:
    return abs(a - b) >= SMALLEST_RELEVANT * max(a, b, 1e-9)


def _steady_calls(side: Side) -> float:
    """Of a run, on a mean rank."""
    return sum(int((~run.calls.warm_up).sum()) / max(len(run.report.ranks), 1) for run in side.runs) / len(side.runs)


def _shared(a: Spent, b: Spent) -> str | None:
    """Exposed time that two calls share does not fall where one of them gets shorter."""
    if _small(a.shared_ns - b.shared_ns, a.exposed_ns, b.exposed_ns):
        return None
    return "other communication runs beside these calls, and which of them exposes the time is not known"


def _small(change_ns: float, *exposed_ns: float) -> bool:
    return abs(change_ns) <= max(EXPOSED_FLOOR_NS, SMALLEST_RELEVANT * max(exposed_ns))


def _against_its_row(baseline: int, candidate: int, speedup: float, verdict: str) -> str | None:
    """Exposed time that rises with a faster row, or falls with a slower one, is moved by something else."""
    fall = baseline - candidate
    if _small(fall, baseline, candidate) or verdict == "no difference" or not speedup or fall * math.log(speedup) >= 0:
        return None
    way = "falls" if fall > 0 else "rises"
    return f"exposed time {way} by {units.duration(abs(fall))} at {units.ratio(speedup)}: waiting or compute moves it"
