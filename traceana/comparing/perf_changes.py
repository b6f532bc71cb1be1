"""What changes between two sides of sglang's perf dumps, as its `benchmarks/compare_perf.py` says it, and memory.

The bounds are compare_perf.py's: a request is better or worse beyond 2 %, a stage beyond both 10 % and 120 ms.
"""

from collections.abc import Callable
from statistics import median

import msgspec

from traceana.report import MemoryCheckpoint, PerfDump

REQUEST_BOUND = 0.02
STAGE_BOUND = 0.10
STAGE_BOUND_NS = 120_000_000


class PerfSide(msgspec.Struct, frozen=True, kw_only=True):
    """Dumps of one setting, one a repeat."""

    label: str
    dumps: tuple[PerfDump, ...]


class Change(msgspec.Struct, frozen=True, kw_only=True):
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


class MemoryChange(msgspec.Struct, frozen=True, kw_only=True):
    """Peaks at one checkpoint in bytes, the largest of the repeats; None where a side does not say."""

    name: str
    baseline_peak_bytes: int | None
    candidate_peak_bytes: int | None
    baseline_reserved_bytes: int | None
    candidate_reserved_bytes: int | None


def request_change(baseline: PerfSide, candidate: PerfSide) -> Change:
    """Of the whole request."""
    return _change("request", baseline, candidate, lambda dump: (dump.total_ns, 1), _request_status)


def stage_changes(baseline: PerfSide, candidate: PerfSide) -> tuple[Change, ...]:
    """Of every stage that a side has, the candidate's first; a stage that a dump lacks took no time."""
    names = dict.fromkeys(stage.name for side in (candidate, baseline) for dump in side.dumps for stage in dump.stages)
    return tuple(_change(name, baseline, candidate, _stage(name), _stage_status) for name in names)


def stage_ns(name: str, side: PerfSide) -> list[int]:
    """The stage's times in the dumps that have it."""
    return [ns for dump in side.dumps if (ns := _stage(name)(dump)[0])]


def memory_changes(baseline: PerfSide, candidate: PerfSide) -> tuple[MemoryChange, ...]:
    """Of every checkpoint that a side has."""
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
