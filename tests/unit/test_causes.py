"""Causes of lost time, planted one at a time; and that parts add up on real traces."""

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import asdict

from traceana.analyze.causes.events import released_ns
from traceana.analyze.causes.idle import gaps, idle_parts
from traceana.analyze.causes.parts import over_window, rounded
from traceana.analyze.causes.uncovered import Work, uncovered_parts
from traceana.analyze.intervals import Intervals, union
from traceana.pipeline import analyze
from traceana.report import ExposedIs, IdleBy, LateBy, RunReport, UncoveredBy
from traceana.settings import Settings
from traceana.trace.columns import Activities, Ints, StreamWaits

TRACES = Path(__file__).parents[1] / "traces"
US = 1000


def ns(*microseconds: float) -> Ints:
    return np.array([round(one * US) for one in microseconds], dtype=np.int64)


def work(*rows: tuple[float, float, int, float], released: tuple[float, ...] = ()) -> Work:
    """Rows of start, end, stream, launch in µs; and what releases each, where that is told."""
    start, end, stream, launched = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Work(
        start_ns=ns(*start),
        end_ns=ns(*end),
        stream=np.array(stream, dtype=np.int64),
        launched_ns=ns(*launched),
        released_ns=ns(*(released or (-1,) * len(rows))),
    )


def uncovered(calls: Work, compute: Work, *copies: tuple[float, float, int, float]) -> dict[str, int]:
    exposed = union(calls.start_ns, calls.end_ns)
    found = over_window(UncoveredBy, uncovered_parts(exposed, calls, compute, work(*copies)))
    return {name.removesuffix("_ns"): value for name, value in asdict(found).items() if value}


def idle(*rows: tuple[float, float, float], launches: Ints) -> dict[str, int]:
    """Rows of start, end, launch of what the device did."""
    start, end, launched = (ns(*column) for column in zip(*rows, strict=True))
    found = over_window(IdleBy, idle_parts(gaps(union(start, end), start, launched, launches)))
    return {name.removesuffix("_ns"): value for name, value in asdict(found).items() if value}


def test_compute_behind_the_call_on_its_stream() -> None:
    assert uncovered(work((100, 300, 7, 10)), work((300, 400, 7, 50))) == {"same_stream": 200 * US}


def test_compute_that_waits_for_the_call_on_another_stream() -> None:
    assert uncovered(work((100, 300, 20, 10)), work((305, 400, 7, 50))) == {"dependent": 200 * US}


def test_compute_that_was_launched_late() -> None:
    found = uncovered(work((100, 300, 20, 10)), work((302, 400, 7, 250)))
    assert found == {"nothing_launched": 150 * US, "dependent": 50 * US}


def test_compute_behind_another_call() -> None:
    calls = work((100, 300, 20, 10), (300, 500, 7, 20))
    assert uncovered(calls, work((500, 600, 7, 30))) == {"behind_call": 200 * US, "same_stream": 200 * US}


def test_compute_behind_a_call_that_could_not_begin_before() -> None:
    calls = work((100, 300, 20, 10), (305, 500, 23, 20))
    found = uncovered(calls, work((510, 600, 7, 30)))
    assert found == {"behind_call": 200 * US, "dependent": 195 * US}


def test_compute_that_waits_for_one_of_two_calls_at_once() -> None:
    calls = work((100, 400, 20, 10), (200, 300, 23, 20))
    assert uncovered(calls, work((410, 600, 7, 30))) == {"dependent": 300 * US}


def test_compute_behind_copies_that_wait_for_the_call() -> None:
    found = uncovered(work((100, 300, 20, 10)), work((900, 1000, 7, 50)), (310, 600, 7, 40))
    assert found == {"dependent": 200 * US}


def test_compute_behind_a_copy_that_runs_under_the_call() -> None:
    found = uncovered(work((100, 300, 20, 10)), work((900, 1000, 7, 50)), (90, 250, 7, 40))
    assert found == {"waiting": 200 * US}


def test_compute_that_waits_for_something_else() -> None:
    assert uncovered(work((100, 300, 20, 10)), work((900, 1000, 7, 50))) == {"waiting": 200 * US}


def test_compute_that_an_event_holds_until_the_call_is_over_however_late_it_begins() -> None:
    call = work((100, 300, 20, 10))
    assert uncovered(call, work((900, 1000, 7, 50), released=(300,))) == {"dependent": 200 * US}
    # The end of something else: that the call was over shortly before is chance.
    assert uncovered(call, work((310, 1000, 7, 50), released=(305,))) == {"waiting": 200 * US}


def test_compute_does_not_wait_for_a_call_that_was_launched_after_it() -> None:
    assert uncovered(work((100, 300, 20, 60)), work((305, 400, 7, 50))) == {"waiting": 200 * US}


def test_an_event_stands_for_what_its_stream_was_given_before_it() -> None:
    zero = np.zeros(4, dtype=np.int64)
    activities = Activities(
        start_ns=ns(0, 10, 20, 40),
        end_ns=ns(10, 20, 30, 50),
        stream=np.array([20, 20, 7, 7]),
        correlation=np.array([1, 4, 2, 6]),
        name=zero,
        category=zero,
        device=zero,
        call=zero,
        external=zero,
        shape=zero,
    )
    waits = StreamWaits(
        stream=np.array([7]), correlation=np.array([5]), on_stream=np.array([20]), recorded=np.array([3])
    )
    assert released_ns(activities, np.arange(4), waits).tolist() == [-1, -1, -1, 10 * US]


def test_compute_under_the_call_right_after_its_launch_was_launched_late() -> None:
    calls, compute = work((100, 300, 20, 10)), work((150, 200, 7, 140), (310, 400, 7, 30))
    exposed = Intervals(ns(100, 200), ns(150, 300))
    found = over_window(UncoveredBy, uncovered_parts(exposed, calls, compute, work()))
    assert (found.nothing_launched_ns, found.dependent_ns) == (50 * US, 100 * US)


def test_compute_whose_launch_is_not_known() -> None:
    assert uncovered(work((100, 300, 20, 10)), work((300, 400, 7, -0.001))) == {"unexplained": 200 * US}


def test_nothing_follows() -> None:
    assert uncovered(work((100, 300, 20, 10)), work()) == {"nothing_launched": 200 * US}
    assert uncovered(work((100, 300, 20, 10)), work((0, 50, 7, 0))) == {"nothing_launched": 200 * US}


def test_idle_until_the_host_launched() -> None:
    assert idle((0, 100, -10), (500, 600, 490), launches=ns(-10, 490)) == {"host_behind": 400 * US}


def test_idle_although_it_was_launched() -> None:
    assert idle((0, 100, -10), (500, 600, 50), launches=ns(-10, 50)) == {"waiting": 400 * US}
    assert idle((0, 100, -10), (500, 600, 300), launches=ns(-10, 300)) == {"host_behind": 200 * US, "waiting": 200 * US}


def test_idle_outside_of_the_recording_and_idle_without_a_launch() -> None:
    assert idle((0, 100, -0.001), (500, 600, -0.001), launches=ns(700, 800)) == {"outside": 400 * US}
    assert idle((0, 100, -0.001), (500, 600, -0.001), launches=ns(50, 800)) == {"unexplained": 400 * US}


def adds_up(kind: ExposedIs | UncoveredBy | IdleBy | LateBy | None, whole: int) -> bool:
    assert kind is not None
    parts: list[int] = list(asdict(kind).values())
    return sum(parts) == whole and min(parts) >= 0


@pytest.mark.parametrize("side", ["h200/torch-2r", "h200/pynccl-2r-graph", "h200/torch-4r-straggler2", "h100/torch-2r"])
def test_parts_add_up_on_real_traces_and_little_is_unexplained(side: str) -> None:
    run: RunReport = analyze((TRACES / side,), Settings(workers=1), lambda *_: None).report.runs[0]
    for rank in run.ranks:
        assert adds_up(rank.exposed_is, rank.exposed_comm_ns)
        assert adds_up(rank.uncovered_by, rank.exposed_comm_ns)
        assert adds_up(rank.idle_by, rank.idle_ns)
        assert rank.idle_by is not None
        assert rank.exposed_is is not None
        assert rank.exposed_is.unexplained_ns <= 0.1 * rank.exposed_comm_ns
        assert sum(place.ns for place in rank.host_behind_in) == rank.idle_by.host_behind_ns
    caused = {one.rank: one.wait_caused_ns for one in run.stragglers}
    for late in run.late:
        assert late.calls.wait_caused_ns == caused[late.rank]
        assert adds_up(late.calls.by, late.calls.wait_caused_ns)
        assert sum(kernel.ns for kernel in late.calls.kernels) <= late.calls.by.compute_ns
        assert sum(place.ns for place in late.calls.host) <= late.calls.by.host_behind_ns
        assert all(adds_up(step.by, step.wait_caused_ns) for step in late.steps)
    for step in (*run.steps, *run.requests):
        assert step.idle_ns is not None
        assert adds_up(step.exposed_is, step.exposed_comm_ns)
        assert adds_up(step.uncovered_by, step.exposed_comm_ns)
        assert adds_up(step.idle_by, step.idle_ns)
    for operation in run.operations:
        assert adds_up(operation.exposed_is, operation.exposed_ns)
        assert adds_up(operation.uncovered_by, operation.exposed_ns)


def test_a_rank_that_spins_is_late_for_its_kernel_and_one_that_began_late_for_its_window() -> None:
    run = analyze((TRACES / "h200/torch-4r-straggler2",), Settings(workers=1), lambda *_: None).report.runs[0]
    late = {one.rank: one for one in run.late}
    (kernel, *_) = late[2].calls.kernels
    # At the broadcasts of steps 1 to 3 one peer waited 5.64 ms for the spinning rank.
    assert "spin_kernel" in kernel.name
    assert kernel.ns == pytest.approx(3 * 5_640_000, rel=0.01)
    assert late[0].steps[0].by.window_late_ns > 400_000_000
    assert late[0].steady is not None
    assert late[0].steady.by.window_late_ns == 0


def test_a_host_that_sleeps_makes_its_rank_late_on_real_gpus() -> None:
    run = analyze((TRACES / "h200x2/late-host",), Settings(workers=1), lambda *_: None).report.runs[0]
    first = run.late[0]
    assert first.rank == 1
    assert first.steady is not None
    assert first.steady.by.host_behind_ns > 0.95 * first.steady.wait_caused_ns
    assert (first.steady.host[0].kind, first.steady.host[0].name) == ("frame", "<built-in function sleep>")
    by_step = {step.number: step.by.host_behind_ns for step in first.steps}
    # It sleeps 5 ms from step 3 on; besides, hosts differ by up to 1.5 ms a step.
    assert all(4_500_000 < by_step[number] < 6_500_000 for number in range(3, 8))
    assert by_step.get(1, 0) + by_step.get(2, 0) < 1_000_000
    assert first.steps[0].by.window_late_ns == pytest.approx(551_000_000, rel=0.01)
    sleeping = [next(place for place in rank.host_behind_in if "sleep" in place.name).ns for rank in run.ranks]
    assert sleeping[1] - sleeping[0] > 5 * 5_000_000


def test_means_are_rounded_to_their_whole() -> None:
    assert rounded(np.array([0.5, 0.25, 1.25]), 2) == [1, 0, 1]
    assert rounded(np.array([3.0, 4.0]), 7) == [3, 4]
