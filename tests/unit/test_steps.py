from dataclasses import replace

import numpy as np
import pytest

from traceana.analyze import steps as run_steps
from traceana.analyze.collectives import Collectives
from traceana.analyze.noise import noise
from traceana.analyze.spans import SpanTimes


def spans(names: list[str], compute: list[int] | None = None) -> SpanTimes:
    """Executions of 100 ns every 100 ns on the host; the device runs 30 ns behind and is busy for 90."""
    start = np.arange(len(names)) * 100
    values = np.array(compute if compute is not None else [50] * len(names))
    return SpanTimes(
        names=tuple(names),
        start_ns=start,
        end_ns=start + 100,
        device_start_ns=start + 30,
        device_end_ns=start + 120,
        comm_ns=np.full(len(names), 20),
        exposed_comm_ns=np.full(len(names), 10),
        compute_ns=values,
    )


def numbered(name: str, first: int, count: int) -> list[str]:
    return [f"{name} {number}" for number in range(first, first + count)]


@pytest.mark.parametrize(
    ("names", "step"),
    [
        (["request", "stage Denoising", *numbered("denoise_step", 0, 3)], "denoise_step"),
        ([f"ProfilerStep#{n}" for n in range(3)], "ProfilerStep"),
        ([f"ProfilerStep#{n}" for n in range(2)] + numbered("denoise_step", 0, 6), "denoise_step"),
        (["TimestepEmbedding"] * 9 + ["Optimizer.step#AdamW.step"] * 9, ""),
        (["denoise_step 0"], ""),
        ([], ""),
    ],
)
def test_which_span_is_the_step(names: list[str], step: str) -> None:
    assert run_steps.steps({0: spans(names)}).name == step


def test_a_step_that_is_marked_twice_is_one() -> None:
    """The inner mark of each is open for longer, as one that is still open when the window closes."""
    outer = spans([name for name in numbered("step", 0, 3) for _ in range(2)])
    start = np.repeat(np.arange(3) * 100, 2) + np.tile([0, 2], 3)
    twice = replace(outer, start_ns=start, end_ns=start + np.tile([99, 103], 3))
    assert run_steps.steps({0: twice}).rows[0].tolist() == [0, 2, 4]
    lone = replace(twice, names=("step 0", "step 0", *["other"] * 4))
    assert run_steps.steps({0: lone}).name == ""


def test_times_are_the_slowest_ranks_and_the_first_is_warm_up() -> None:
    ranks = {0: spans(numbered("step", 0, 3)), 1: spans(numbered("step", 0, 3), [50, 70, 50])}
    times = run_steps.times(ranks, run_steps.steps(ranks), lone_is_warm_up=True)
    assert [time.duration_ns for time in times] == [90, 90, 90]
    assert [time.compute_ns for time in times] == [50, 60, 50]
    assert [time.warm_up for time in times] == [True, False, False]


def test_a_lone_request_is_no_warm_up() -> None:
    ranks = {0: spans(["request"])}
    (request,) = run_steps.times(ranks, run_steps.requests(ranks), lone_is_warm_up=False)
    assert not request.warm_up


def test_windows_that_opened_apart_begin_at_a_common_step() -> None:
    ranks = {0: spans(numbered("step", 2, 6)), 1: spans(numbered("step", 4, 4))}
    found = run_steps.steps(ranks)
    assert [time.name for time in run_steps.times(ranks, found, lone_is_warm_up=True)] == numbered("step", 4, 4)
    assert found.rows[0].tolist() == [2, 3, 4, 5]


def test_calls_by_step_and_what_is_warm_up() -> None:
    ranks = {0: spans(numbered("step", 0, 3))}
    start = np.array([10, 40, 125, 140, 240, 1000])
    calls = Collectives(
        start_ns=start,
        end_ns=start + 1,
        exposed_ns=start,
        seq=start,
        site=np.full(6, -1),
        sites=(),
        signature=np.zeros(6, dtype=np.int64),
        signatures=(),
    )
    step = run_steps.steps_of_calls({0: calls}, ranks, run_steps.steps(ranks))[0]
    assert step.tolist() == [-2, 0, -1, 1, 2, -1]
    kind = np.array([0, 0, 1, 1, 0, 0])
    warm = run_steps.warm_up(np.zeros(6, dtype=np.int64), kind, np.full(6, -1), step)
    assert warm.tolist() == [True, True, True, False, False, False]


def test_a_peers_warm_up_counts_for_the_whole_collective() -> None:
    rank, kind = np.array([0, 0, 1, 1]), np.zeros(4, dtype=np.int64)
    warm = run_steps.warm_up(rank, kind, np.array([7, 8, 8, 9]), np.array([-1, -1, -1, -1]))
    assert warm.tolist() == [True, True, True, False]


def test_a_clock_that_slows_down_is_named() -> None:
    ranks = {0: spans(numbered("step", 0, 21)), 1: spans(numbered("step", 0, 21), [50] * 11 + [60] * 10)}
    (found,) = [one for one in noise(ranks, run_steps.steps(ranks)) if one.kind == "drift"]
    assert found.rank == 1
    assert found.change == pytest.approx(0.2)
    assert "20\xa0% longer in the second half" in found.text


def test_a_rank_slower_than_its_peers_is_named() -> None:
    ranks = {rank: spans(numbered("step", 0, 9), [50 + 10 * (rank == 2)] * 9) for rank in range(4)}
    (found,) = noise(ranks, run_steps.steps(ranks))
    assert (found.kind, found.rank) == ("uneven", 2)


def test_steady_ranks_make_no_noise() -> None:
    ranks = {rank: spans(numbered("step", 0, 9), [50 + step % 3 for step in range(9)]) for rank in range(4)}
    assert noise(ranks, run_steps.steps(ranks)) == ()
