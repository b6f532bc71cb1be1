"""sglang's perf dumps compared: all that its `benchmarks/compare_perf.py` says, and steps, memory and intervals."""

from collections.abc import Iterable, Sequence
from itertools import combinations

import msgspec
import numpy as np
from msgspec.structs import replace

from traceana.analyze.statistics import distribution
from traceana.comparing.end_to_end import Measured, case_of, of_perf_dumps, slowed_alone
from traceana.comparing.estimate import sample
from traceana.comparing.perf_changes import (
    Change,
    MemoryChange,
    PerfSide,
    memory_changes,
    request_change,
    stage_changes,
    stage_ns,
)
from traceana.comparing.repeats import FEWEST_REPEATS
from traceana.comparing.verdict import judge
from traceana.report import Distribution, StepComparison

_NS_PER_S = 1_000_000_000


class PerfComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two sides of perf dumps. Throughput is requests a second, of one request after the other."""

    baseline: str
    candidate: str
    baseline_files: tuple[str, ...]
    candidate_files: tuple[str, ...]
    baseline_commit: str
    candidate_commit: str
    interval_basis: str
    reasons: tuple[str, ...]
    """Why they are not like for like."""
    request: Change
    baseline_throughput: float
    candidate_throughput: float
    stages: tuple[Change, ...]
    stage_tests: tuple[StepComparison, ...]
    """Each stage with its interval, where there are three or more repeats a side."""
    end_to_end: tuple[StepComparison, ...]
    baseline_steps: Distribution | None
    candidate_steps: Distribution | None
    """Of the denoising steps without the first."""
    memory: tuple[MemoryChange, ...]


def compare_perf_dumps(baseline: PerfSide, candidate: PerfSide) -> PerfComparison:
    """Compare two sides; each has a dump at least."""
    request, stages = request_change(baseline, candidate), stage_changes(baseline, candidate)
    doubt = _copied(baseline, candidate) or slowed_alone([baseline.dumps], [candidate.dumps])
    whole, tests = _judged(baseline, candidate, [stage.name for stage in stages], doubt)
    return PerfComparison(
        baseline=baseline.label,
        candidate=candidate.label,
        baseline_files=tuple(dump.file for dump in baseline.dumps),
        candidate_files=tuple(dump.file for dump in candidate.dumps),
        baseline_commit=_commits(baseline),
        candidate_commit=_commits(candidate),
        interval_basis="repeats" if _by_repeats(baseline, candidate) else "calls",
        reasons=(*([doubt] if doubt else []), *_reasons(baseline, candidate)),
        request=request,
        baseline_throughput=_throughput(request.baseline_ns),
        candidate_throughput=_throughput(request.candidate_ns),
        stages=stages,
        stage_tests=tests,
        end_to_end=whole,
        baseline_steps=_steps(baseline),
        candidate_steps=_steps(candidate),
        memory=memory_changes(baseline, candidate),
    )


def _by_repeats(baseline: PerfSide, candidate: PerfSide) -> bool:
    return min(len(baseline.dumps), len(candidate.dumps)) >= FEWEST_REPEATS


def _judged(
    baseline: PerfSide, candidate: PerfSide, stages: Sequence[str], doubt: str | None
) -> tuple[tuple[StepComparison, ...], tuple[StepComparison, ...]]:
    """The end-to-end times and, with repeats, the stages: one family of verdicts."""
    repeats = _by_repeats(baseline, candidate)
    both = ([(dump,) for dump in side.dumps] for side in (baseline, candidate))
    whole = of_perf_dumps(*both, repeats=repeats, doubt=doubt)
    measured = whole + ([_stage_test(name, baseline, candidate, doubt) for name in stages] if repeats else [])
    verdicts = judge([one.case for one in measured])
    judged = tuple(one.judged(its) for one, its in zip(measured, verdicts, strict=True))
    return judged[: len(whole)], judged[len(whole) :]


def _stage_test(name: str, baseline: PerfSide, candidate: PerfSide, doubt: str | None) -> Measured:
    times = [stage_ns(name, side) for side in (baseline, candidate)]
    samples = [[sample(np.array([ns], dtype=np.int64)) for ns in side] for side in times]
    case, shown = case_of(samples[0], samples[1], repeats=True, doubt=doubt)
    return Measured(metric="stage", name=name, counts=(len(times[0]), len(times[1])), times_ns=shown, case=case)


def _throughput(ns: int) -> float:
    return _NS_PER_S / ns if ns else 0.0


def _steps(side: PerfSide) -> Distribution | None:
    steps = [ns for dump in side.dumps for ns in dump.denoise_steps_ns[1:]]
    return distribution(np.array(steps, dtype=np.int64)) if steps else None


def _commits(side: PerfSide) -> str:
    return ", ".join(dict.fromkeys(dump.commit or "N/A" for dump in side.dumps))


def _copied(baseline: PerfSide, candidate: PerfSide) -> str | None:
    for side in (baseline, candidate):
        for a, b in combinations(side.dumps, 2):
            if replace(b, file=a.file) == a:
                return f"{b.file} is a copy of {a.file}, no repeat"
    return None


def _reasons(baseline: PerfSide, candidate: PerfSide) -> list[str]:
    """What differs that a fair comparison would have alike, and dumps whose times are not the program's own."""
    sides = (baseline, candidate)
    slow = [f"{dump.file} is slowed: {dump.slowed}" for side in sides for dump in side.dumps if dump.slowed]
    found = []
    for name in dict.fromkeys(key for side in sides for dump in side.dumps for key, _ in dump.meta):
        found.append(
            (name, [_distinct(dict(dump.meta).get(name, "not stated") for dump in side.dumps) for side in sides])
        )
    steps = [_distinct(str(len(dump.denoise_steps_ns)) for dump in side.dumps) for side in sides]
    found.append(("number of denoising steps", steps))
    return slow + [f"other {name}: {a} against {b}" for name, (a, b) in found if a != b]


def _distinct(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))
