"""sglang's perf dumps compared: all that its `benchmarks/compare_perf.py` says, and steps, memory and intervals.

The bounds are compare_perf.py's: a request is better or worse beyond 2 %, a stage beyond both 10 % and 120 ms.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import median

import numpy as np

from traceana.analyze.statistics import distribution
from traceana.compare.end_to_end import Measured, case_of, of_perf_dumps
from traceana.compare.estimate import FEWEST_REPEATS, sample
from traceana.compare.verdict import judge
from traceana.report import Distribution, MemoryCheckpoint, PerfDump, StepComparison

REQUEST_BOUND = 0.02
STAGE_BOUND = 0.10
STAGE_BOUND_NS = 120_000_000
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PerfSide:
    """Dumps of one setting, one a repeat."""

    label: str
    dumps: tuple[PerfDump, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A time of both sides, medians over the repeats; `status` is better, worse or same by compare_perf.py's bounds."""

    name: str
    baseline_ns: int
    candidate_ns: int
    baseline_count: int
    candidate_count: int
    """Entries of that name in a dump."""
    status: str

    @property
    def ns(self) -> int:
        """Candidate less baseline."""
        return self.candidate_ns - self.baseline_ns

    @property
    def relative(self) -> float | None:
        """The change as a part of the baseline, None where that is 0."""
        return self.ns / self.baseline_ns if self.baseline_ns else None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryChange:
    """Peaks at one checkpoint in bytes, the largest of the repeats; None where a side does not say."""

    name: str
    baseline_peak_bytes: int | None
    candidate_peak_bytes: int | None
    baseline_reserved_bytes: int | None
    candidate_reserved_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PerfComparison:
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
    repeats = min(len(baseline.dumps), len(candidate.dumps)) >= FEWEST_REPEATS
    request = _change("request", baseline, candidate, lambda dump: (dump.total_ns, 1), _request_status)
    names = _stage_names(candidate, baseline)
    doubt = _copied(baseline, candidate)
    both = ([(dump,) for dump in side.dumps] for side in (baseline, candidate))
    whole = of_perf_dumps(*both, repeats=repeats, doubt=doubt)
    tests = [_stage_test(name, baseline, candidate, doubt) for name in names] if repeats else []
    measured = [*whole, *tests]
    judged = [one.judged(its) for one, its in zip(measured, judge([one.case for one in measured]), strict=True)]
    return PerfComparison(
        baseline=baseline.label,
        candidate=candidate.label,
        baseline_files=tuple(dump.file for dump in baseline.dumps),
        candidate_files=tuple(dump.file for dump in candidate.dumps),
        baseline_commit=_commits(baseline),
        candidate_commit=_commits(candidate),
        interval_basis="repeats" if repeats else "calls",
        reasons=(*([doubt] if doubt else []), *_reasons(baseline, candidate)),
        request=request,
        baseline_throughput=_throughput(request.baseline_ns),
        candidate_throughput=_throughput(request.candidate_ns),
        stages=tuple(_change(name, baseline, candidate, _stage(name), _stage_status) for name in names),
        stage_tests=tuple(judged[len(whole) :]),
        end_to_end=tuple(judged[: len(whole)]),
        baseline_steps=_steps(baseline),
        candidate_steps=_steps(candidate),
        memory=_memory(baseline, candidate),
    )


def _change(
    name: str,
    baseline: PerfSide,
    candidate: PerfSide,
    value: Callable[[PerfDump], tuple[int, int]],
    status: Callable[[int, int], str],
) -> Change:
    a, b = ([value(dump) for dump in side.dumps] for side in (baseline, candidate))
    before, after = (round(median(ns for ns, _ in side)) for side in (a, b))
    return Change(
        name=name,
        baseline_ns=before,
        candidate_ns=after,
        baseline_count=max(count for _, count in a),
        candidate_count=max(count for _, count in b),
        status=status(before, after),
    )


def _request_status(before: int, after: int) -> str:
    change = after / before - 1 if before else 0.0
    return "better" if change < -REQUEST_BOUND else "worse" if change > REQUEST_BOUND else "same"


def _stage_status(before: int, after: int) -> str:
    bound = max(STAGE_BOUND * before, STAGE_BOUND_NS)
    return "better" if after < before - bound else "worse" if after > before + bound else "same"


def _stage(name: str) -> Callable[[PerfDump], tuple[int, int]]:
    return lambda dump: next(((one.duration_ns, one.count) for one in dump.stages if one.name == name), (0, 0))


def _stage_names(*sides: PerfSide) -> list[str]:
    return list(dict.fromkeys(stage.name for side in sides for dump in side.dumps for stage in dump.stages))


def _stage_test(name: str, baseline: PerfSide, candidate: PerfSide, doubt: str | None) -> Measured:
    both = [[_stage(name)(dump)[0] for dump in side.dumps] for side in (baseline, candidate)]
    samples = [[sample(np.array([ns], dtype=np.int64)) for ns in side if ns] for side in both]
    case, times = case_of(samples[0], samples[1], repeats=True, doubt=doubt)
    return Measured(metric="stage", name=name, counts=(len(samples[0]), len(samples[1])), times_ns=times, case=case)


def _throughput(ns: int) -> float:
    return _NS_PER_S / ns if ns else 0.0


def _steps(side: PerfSide) -> Distribution | None:
    steps = [ns for dump in side.dumps for ns in dump.denoise_steps_ns[1:]]
    return distribution(np.array(steps, dtype=np.int64)) if steps else None


def _commits(side: PerfSide) -> str:
    return ", ".join(dict.fromkeys(dump.commit or "N/A" for dump in side.dumps))


def _memory(baseline: PerfSide, candidate: PerfSide) -> tuple[MemoryChange, ...]:
    names = dict.fromkeys(point.name for side in (candidate, baseline) for dump in side.dumps for point in dump.memory)
    return tuple(
        MemoryChange(
            name=name,
            baseline_peak_bytes=_largest(baseline, name, lambda point: point.peak_allocated_bytes),
            candidate_peak_bytes=_largest(candidate, name, lambda point: point.peak_allocated_bytes),
            baseline_reserved_bytes=_largest(baseline, name, lambda point: point.reserved_bytes),
            candidate_reserved_bytes=_largest(candidate, name, lambda point: point.reserved_bytes),
        )
        for name in names
    )


def _largest(side: PerfSide, name: str, size: Callable[[MemoryCheckpoint], int | None]) -> int | None:
    sizes = [size(point) for dump in side.dumps for point in dump.memory if point.name == name]
    return max((one for one in sizes if one is not None), default=None)


def _copied(baseline: PerfSide, candidate: PerfSide) -> str | None:
    for side in (baseline, candidate):
        for a, b in combinations(side.dumps, 2):
            if replace(b, file=a.file) == a:
                return f"{b.file} is a copy of {a.file}, no repeat"
    return None


def _reasons(baseline: PerfSide, candidate: PerfSide) -> list[str]:
    found = []
    for name in dict.fromkeys(key for side in (baseline, candidate) for dump in side.dumps for key, _ in dump.meta):
        a, b = (
            _distinct(dict(dump.meta).get(name, "not stated") for dump in side.dumps) for side in (baseline, candidate)
        )
        if a != b:
            found.append(f"other {name}: {a} against {b}")
    a, b = (_distinct(str(len(dump.denoise_steps_ns)) for dump in side.dumps) for side in (baseline, candidate))
    if a != b:
        found.append(f"other number of denoising steps: {a} against {b}")
    return found


def _distinct(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))
