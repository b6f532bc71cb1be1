from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import replace

from traceana.analyze import steps as run_steps
from traceana.analyze.collectives import Collectives
from traceana.analyze.intervals import union
from traceana.analyze.noise import noise
from traceana.analyze.overlap import Occupation
from traceana.analyze.spans import SpanTimes
from traceana.analyze.step_names import step_name
from traceana.report import Noise


def spans(names: list[str]) -> SpanTimes:
    """Executions of 100 ns every 100 ns on the host; the device runs 30 ns behind and is busy for 90."""
    start = np.arange(len(names)) * 100
    zero = np.zeros(len(names), dtype=np.int64)
    return SpanTimes(
        names=tuple(names),
        start_ns=start,
        end_ns=start + 100,
        cut_short=np.zeros(len(names), dtype=np.bool_),
        device_start_ns=start + 30,
        device_end_ns=start + 120,
        comm_ns=zero,
        exposed_comm_ns=zero,
        compute_ns=zero,
    )


def placed(*rows: tuple[str, int, int]) -> SpanTimes:
    """Names with start and end on the host, in order of start; the device keeps the host's times."""
    rows = tuple(sorted(rows, key=lambda row: (row[1], -row[2])))
    start, end = np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    ordered = spans([row[0] for row in rows])
    return replace(ordered, start_ns=start, end_ns=end, device_start_ns=start, device_end_ns=end)


def occupied(compute: Sequence[int], communication: int = 0) -> Occupation:
    """A device of `spans`: so much compute in each step, then so much communication."""
    begin = np.arange(len(compute)) * 100 + 30
    busy = begin + np.array(compute, dtype=np.int64)
    return Occupation(
        compute=union(begin, busy), communication=union(busy, busy + communication), memory=union(begin, begin)
    )


def numbered(name: str, first: int, count: int) -> list[str]:
    return [f"{name} {number}" for number in range(first, first + count)]


@pytest.mark.parametrize(
    ("names", "step"),
    [
        (["request", "stage Denoising", *numbered("denoise_step", 0, 3)], "denoise_step"),
        ([f"ProfilerStep#{n}" for n in range(3)], "ProfilerStep"),
        ([f"ProfilerStep#{n}" for n in range(2)] + numbered("denoise_step", 0, 6), "denoise_step"),
        (["TimestepEmbedding"] * 9 + ["Optimizer.step#AdamW.step"] * 9, None),
        (["optimizer_step", "lr_scheduler.step", "GradScaler.step", "enumerate(DataLoader)#_Iter.__next__"] * 9, None),
        (numbered("Step", 0, 4), "Step"),
        (numbered("TRAIN STEP #", 0, 4), "TRAIN STEP"),
        ([f"step [{number}/50]" for number in range(3)], "step"),
        (["iter 0", "iter 1"], "iter"),
        (["denoise_step 0"], None),
        ([], None),
    ],
)
def test_which_span_is_the_step(names: list[str], step: str | None) -> None:
    assert step_name(spans(names)) == step


def nested(outer: str, inner: str, *, anew: bool) -> SpanTimes:
    """Four outer executions with two inner ones each; `{}` in a name is its number."""
    rows = []
    for step in range(4):
        rows.append((outer.format(step), 100 * step, 100 * step + 90))
        for half in range(2):
            begin = 100 * step + 10 + 40 * half
            rows.append((inner.format(half if anew else 2 * step + half), begin, begin + 30))
    return placed(*rows)


@pytest.mark.parametrize(
    ("outer", "inner", "anew", "step"),
    [
        ("ProfilerStep#{}", "noise_step", False, "ProfilerStep"),
        ("train_step {}", "micro_step {}", True, "train_step"),
        ("train_step {}", "micro_step {}", False, "train_step"),
        ("train_step", "micro_step {}", True, "train_step"),
        ("sampling step loop", "denoise_step {}", False, "denoise_step"),
    ],
)
def test_the_outermost_numbered_span_wins_over_substeps(outer: str, inner: str, anew: bool, step: str) -> None:
    assert step_name(nested(outer, inner, anew=anew)) == step


def test_a_step_that_is_marked_twice_is_one() -> None:
    """The inner mark of each is open for longer, as one that is still open when the window closes."""
    outer = spans([name for name in numbered("step", 0, 3) for _ in range(2)])
    start = np.repeat(np.arange(3) * 100, 2) + np.tile([0, 2], 3)
    twice = replace(outer, start_ns=start, end_ns=start + np.tile([99, 103], 3))
    assert run_steps.steps({0: twice}).start_ns[0].tolist() == [30, 230, 430]
    lone = replace(twice, names=("step 0", "step 0", *["other"] * 4))
    assert len(run_steps.steps({0: lone})) == 0


def test_times_are_the_slowest_ranks_and_the_first_is_warm_up() -> None:
    ranks = {0: spans(numbered("step", 0, 3)), 1: spans(numbered("step", 0, 3))}
    busy = {0: occupied([50, 50, 50], 20), 1: occupied([50, 70, 50], 10)}
    times = run_steps.times(run_steps.steps(ranks), busy, lone_is_warm_up=True)
    assert [time.duration_ns for time in times] == [90, 90, 90]
    assert [time.compute_ns for time in times] == [50, 60, 50]
    assert [time.exposed_comm_ns for time in times] == [15, 15, 15]
    assert [time.warm_up for time in times] == [True, False, False]


def test_steps_that_overlap_add_up_to_no_more_than_the_window() -> None:
    """The first one leaves something behind that runs on through all others."""
    marked = spans(numbered("step", 0, 4))
    overlapping = replace(marked, device_end_ns=np.array([420, 240, 320, 420]))
    times = run_steps.times(run_steps.steps({0: overlapping}), {0: occupied([50] * 4)}, lone_is_warm_up=True)
    assert [time.duration_ns for time in times] == [100, 100, 90, 90]


def test_requests_may_run_at_the_same_time() -> None:
    ranks = {0: placed(("request 0", 0, 100), ("request 1", 70, 170))}
    times = run_steps.times(run_steps.requests(ranks), {0: occupied([50])}, lone_is_warm_up=False)
    assert [time.duration_ns for time in times] == [100, 100]


def test_communication_on_two_streams_at_once_is_exposed_once() -> None:
    begin = np.array([30, 35])
    both = Occupation(
        compute=union(begin[:1], begin[:1] + 10),
        communication=union(begin, begin + 60),
        memory=union(begin, begin),
    )
    executed = run_steps.steps({0: spans(numbered("step", 0, 2))})
    assert run_steps.times(executed, {0: both}, lone_is_warm_up=True)[0].exposed_comm_ns == 55


def test_a_lone_request_is_no_warm_up() -> None:
    ranks = {0: spans(["request"])}
    (request,) = run_steps.times(run_steps.requests(ranks), {0: occupied([50])}, lone_is_warm_up=False)
    assert not request.warm_up


def test_a_step_that_was_cut_on_one_rank_is_no_whole_one() -> None:
    cut = replace(spans(numbered("step", 0, 2)), cut_short=np.array([False, True]))
    executed = run_steps.steps({0: spans(numbered("step", 0, 2)), 1: cut})
    times = run_steps.times(executed, dict.fromkeys((0, 1), occupied([50, 50])), lone_is_warm_up=True)
    assert [time.cut_short for time in times] == [False, True]


def test_windows_that_opened_apart_begin_at_a_common_step() -> None:
    ranks = {0: spans(numbered("step", 2, 6)), 1: spans(numbered("step", 4, 4))}
    found = run_steps.steps(ranks)
    times = run_steps.times(found, dict.fromkeys((0, 1), occupied([50] * 6)), lone_is_warm_up=True)
    assert [time.name for time in times] == numbered("step", 4, 4)
    assert found.start_ns[0].tolist() == [230, 330, 430, 530]


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
        module=np.full(6, -1),
        modules=(),
        signature=np.zeros(6, dtype=np.int64),
        signatures=(),
    )
    step = run_steps.step_of_calls(calls, run_steps.steps(ranks), 0)
    assert step.tolist() == [-2, 0, -1, 1, 2, -1]
    kind = np.array([0, 0, 1, 1, 0, 0])
    warm = run_steps.warm_up([slice(0, 6)], kind, np.full(6, -1), step)
    assert warm.tolist() == [True, True, True, False, False, False]


def test_a_peers_warm_up_counts_for_the_whole_collective() -> None:
    ranks, kind = [slice(0, 2), slice(2, 4)], np.zeros(4, dtype=np.int64)
    warm = run_steps.warm_up(ranks, kind, np.array([7, 8, 8, 9]), np.array([-1, -1, -1, -1]))
    assert warm.tolist() == [True, True, True, False]


def noise_of(compute: dict[int, list[int]]) -> tuple[Noise, ...]:
    ranks = {rank: spans(numbered("step", 0, len(values))) for rank, values in compute.items()}
    return noise({rank: occupied(values) for rank, values in compute.items()}, run_steps.steps(ranks))


def test_a_clock_that_slows_down_is_named() -> None:
    (found,) = [one for one in noise_of({0: [50] * 21, 1: [50] * 11 + [60] * 10}) if one.kind == "drift"]
    assert found.rank == 1
    assert found.change == pytest.approx(0.2)
    assert "20\xa0% longer in the second half" in found.text


def test_a_rank_slower_than_its_peers_is_named() -> None:
    (found,) = noise_of({rank: [50 + 10 * (rank == 2)] * 9 for rank in range(4)})
    assert (found.kind, found.rank) == ("uneven", 2)


def test_steady_ranks_make_no_noise() -> None:
    assert noise_of({rank: [50 + step % 3 for step in range(9)] for rank in range(4)}) == ()
