"""The strip shows what ran, as long as it ran, and nothing else."""

from pathlib import Path

from tests.synthetic.kineto import EventWriter, write_document
from tests.traces.base import START_NS, add_kernel, finish
from traceana.analyze.clocks import ClockOffsets
from traceana.analyze.measure import RankResult, measure_rank
from traceana.analyze.steps import NO_STEPS
from traceana.analyze.timeline import timelines
from traceana.report import Clock, TimelineSlice

ONE_CLOCK = ClockOffsets(offset_ns={}, clock=Clock(method="shared", residual_ns=None))
WHOLE_NS = 100_000_000


def slices(folder: Path, *kernels: tuple[int, int]) -> list[TimelineSlice]:
    """Of one rank that multiplies from start to end, in ns, and in the last 100 ns of the strip."""
    writer = EventWriter(rank=0)
    for start, end in (*kernels, (WHOLE_NS - 100, WHOLE_NS)):
        add_kernel(writer, START_NS + start, end - start)
    write_document(folder / "rank0.json", finish(writer))
    result: RankResult = measure_rank(folder / "rank0.json")
    (strip,) = timelines({0: result}, ONE_CLOCK, NO_STEPS)
    assert strip.choice == "window"
    assert strip.duration_ns == WHOLE_NS
    return list(strip.rows[0].slices)


def test_thin_slices_stay_thin_and_idle_stays_idle(tmp_path: Path) -> None:
    drawn = slices(tmp_path, (0, 100), (50_000_000, 50_000_100))
    assert [one.end_ns - one.start_ns for one in drawn] == [100, 100, 100]


def test_a_long_kernel_is_one_slice(tmp_path: Path) -> None:
    drawn = slices(tmp_path, (0, 70_000_001))
    assert drawn[0] == TimelineSlice(start_ns=0, end_ns=70_000_001, kind="compute")
    assert len(drawn) == 2


def test_many_kernels_are_few_slices_that_add_up(tmp_path: Path) -> None:
    """Two thousand kernels of 10 µs, 15 µs apart."""
    drawn = slices(tmp_path, *((25_000 * one, 25_000 * one + 10_000) for one in range(2_000)))
    assert sum(one.end_ns - one.start_ns for one in drawn) == 2_000 * 10_000 + 100
    assert len(drawn) < 700
    ends = [one.end_ns for one in drawn]
    assert all(start.start_ns >= end for start, end in zip(drawn[1:], ends, strict=False))
