"""Causes of lost time planted in programs of 8 and 32 ranks, alone and mixed, and found again within 2 %."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from msgspec.structs import asdict

from tests import analysis
from tests.page import Page
from tests.synthetic.kineto import MAIN_STREAM, SIDE_STREAM
from tests.synthetic.program import TRANSFER_NS, Program
from traceana.pipeline import analyze
from traceana.report import ExposedIs, IdleBy, LateBy, LateRank, RunReport, UncoveredBy
from traceana.settings import Settings

STEPS = 4
COMPUTE_NS = 300_000
PLANTED_NS = 1_000_000
WITHIN = 0.02
SLOW_KERNEL = "void mine::slow_kernel<float>(int)"
Plant = Callable[[Program, int], None]


def report(program: Program, folder: Path) -> RunReport:
    return analyze((program.write(folder),), Settings(workers=1), lambda *_: None).report.runs[0]


def steps(program: Program, plant: Plant, *, group: Iterable[int] = ()) -> Program:
    """In each step ranks compute, those of `group` meet, and all meet; what is planted comes first."""
    for _ in range(STEPS):
        for rank in program.ranks:
            plant(program, rank)
            program.compute(rank, COMPUTE_NS)
        if group:
            program.call(group)
        program.call(program.ranks)
        program.end_step()
    return program


def found(value: ExposedIs | UncoveredBy | IdleBy | LateBy | None) -> dict[str, int]:
    assert value is not None
    return {name.removesuffix("_ns"): ns for name, ns in asdict(value).items()}


def check(value: ExposedIs | UncoveredBy | IdleBy | LateBy | None, whole_ns: int, **expected: float) -> None:
    """Each part is what is expected, 0 where nothing is, within 2 % of the whole."""
    for name, ns in found(value).items():
        assert ns == pytest.approx(expected.get(name, 0), abs=WITHIN * whole_ns), name


def late(run: RunReport, rank: int) -> LateRank:
    return next(one for one in run.late if one.rank == rank)


def longer_kernel(program: Program, rank: int) -> None:
    if rank == 2:
        program.compute(rank, PLANTED_NS, name=SLOW_KERNEL)


def longer_copy(program: Program, rank: int) -> None:
    if rank == 2:
        program.copy(rank, PLANTED_NS)


def busy_host(program: Program, rank: int) -> None:
    if rank == 2:
        program.host(rank, PLANTED_NS, "aten::to")


def held_stream(program: Program, rank: int) -> None:
    if rank == 2:
        program.compute(rank, COMPUTE_NS)
        program.stall(rank, PLANTED_NS - COMPUTE_NS)


def nothing(_program: Program, _rank: int) -> None:
    pass


@pytest.mark.parametrize(
    ("plant", "parts", "world_size"),
    [
        (longer_kernel, {"compute": 1.0}, 8),
        (longer_copy, {"memory": 1.0}, 8),
        (busy_host, {"host_behind": 1.0}, 8),
        (held_stream, {"waiting": 0.7, "compute": 0.3}, 8),
        (held_stream, {"waiting": 0.7, "compute": 0.3}, 32),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_what_makes_a_rank_late(tmp_path: Path, plant: Plant, parts: dict[str, float], world_size: int) -> None:
    run = report(steps(Program(world_size), plant), tmp_path)
    caused = PLANTED_NS * STEPS * (world_size - 1)
    (only,) = run.late
    assert only.rank == 2
    assert only.calls.wait_caused_ns == pytest.approx(caused, rel=WITHIN)
    assert only.calls.late_ns == pytest.approx(PLANTED_NS * STEPS, rel=WITHIN)
    check(only.calls.by, caused, **{name: share * caused for name, share in parts.items()})
    assert only.calls.rooted_by == only.calls.by
    assert [step.number for step in only.steps] == list(range(STEPS))
    for step in only.steps:
        check(step.by, caused // STEPS, **{name: share * caused / STEPS for name, share in parts.items()})


def test_the_kernel_and_the_operator_that_made_a_rank_late_are_named(tmp_path: Path) -> None:
    caused = PLANTED_NS * STEPS * 7
    found = late(report(steps(Program(8), longer_kernel), tmp_path / "kernel"), 2)
    (kernel, *_) = found.calls.kernels
    for step in found.steps:
        (largest,) = step.kernels
        assert largest.name == SLOW_KERNEL
        assert largest.ns == pytest.approx(caused / STEPS, rel=WITHIN)
    assert kernel.name == SLOW_KERNEL
    assert kernel.ns == pytest.approx(caused, rel=WITHIN)
    found = late(report(steps(Program(8), busy_host), tmp_path / "host"), 2)
    (place, *_) = found.calls.host
    # Before the first step's first launch there is no gap to name a place for.
    assert [[one.name for one in step.host] for step in found.steps] == [[], *[["aten::to"]] * (STEPS - 1)]
    assert (place.kind, place.name) == ("operator", "aten::to")
    assert place.ns == pytest.approx(caused, rel=WITHIN)


@pytest.mark.parametrize("world_size", [8, 32])
def test_a_recording_that_began_late(tmp_path: Path, world_size: int) -> None:
    program = Program(world_size)
    program.begin_late(2, PLANTED_NS)
    (only,) = report(steps(program, nothing), tmp_path).late
    caused = PLANTED_NS * (world_size - 1)
    check(only.calls.by, caused, window_late=caused)
    assert only.steady is None


@pytest.mark.parametrize("world_size", [8, 32])
def test_a_rank_that_another_group_held_passes_its_lateness_on(tmp_path: Path, world_size: int) -> None:
    group = range(4)
    run = report(steps(Program(world_size, sizes=(4,)), busy_host, group=group), tmp_path)
    there, elsewhere = PLANTED_NS * STEPS * 3, PLANTED_NS * STEPS * (world_size - 4)
    # The other ranks of the world have no call before it: what held the group is its own transfer, too.
    transfers = TRANSFER_NS * STEPS * (world_size - 4)
    assert run.late[0].rank == 2
    check(late(run, 2).calls.by, there, host_behind=there)
    held = late(run, 0)
    check(held.calls.by, elsewhere, held=elsewhere + transfers)
    check(held.calls.rooted_by, elsewhere, held=transfers)
    check(late(run, 2).calls.rooted_by, there + elsewhere, host_behind=there + elsewhere)


def test_a_wait_that_was_passed_on_before_more_came_to_it_is_kept(tmp_path: Path) -> None:
    """Groups in a chain, whose calls overlap: a rank waits in B before it comes to A, which all is over before B is."""
    groups = {"world": range(4), "a": (0, 1), "b": (1, 2), "c": (2, 3)}
    calls = {
        0: [("world", 0, 10, 7), ("a", 20, 110, 8)],
        1: [("world", 0, 10, 7), ("b", 50, 160, 7), ("a", 100, 110, 8)],
        2: [("world", 0, 10, 7), ("c", 40, 145, 8), ("b", 150, 160, 7)],
        3: [("world", 0, 10, 7), ("c", 140, 145, 8)],
    }
    for rank, its in calls.items():
        events = [
            {
                "ph": "X", "cat": "kernel", "name": "ncclDevKernel_AllReduce_Sum_f32_RING_LL()",
                "pid": 0, "tid": stream, "ts": 1000 * step + begin, "dur": end - begin,
                "args": {
                    "device": 0, "stream": stream, "correlation": 0, "Collective name": "allreduce", "dtype": "Float",
                    "In msg nelems": 1024, "Out msg nelems": 1024, "Group size": len(groups[name]), "Seq": step,
                    "Process Group Name": name, "Process Group Ranks": str([*groups[name]]),
                },
            }
            for step in range(4)
            for name, begin, end, stream in its
        ]  # fmt: skip
        head = {"hostname": "h", "distributedInfo": {"rank": rank, "world_size": 4}, "baseTimeNanoseconds": 10**18}
        (tmp_path / f"rank{rank}.json").write_text(json.dumps(head | {"traceEvents": events}))
    run = analyze((tmp_path,), Settings(workers=1), lambda *_: None).report.runs[0]
    caused, rooted = (sum(getattr(one.calls, name) for one in run.late) for name in ("wait_caused_ns", "rooted_ns"))
    assert caused > 0
    assert rooted == pytest.approx(caused, abs=10)


def test_several_causes_of_one_rank_and_of_two(tmp_path: Path) -> None:
    def plant(program: Program, rank: int) -> None:
        if rank == 2:
            program.host(rank, PLANTED_NS, "aten::item")
            program.copy(rank, PLANTED_NS // 2)
            program.compute(rank, PLANTED_NS // 4, name=SLOW_KERNEL)
        if rank == 5:
            program.compute(rank, PLANTED_NS)

    (only,) = report(steps(Program(8), plant), tmp_path).late
    lone, shared = PLANTED_NS * STEPS * 6, PLANTED_NS * STEPS
    caused = lone * 1.75 + shared * 0.75
    # Rank 5 computes for longer than rank 2, so only the host and the copies of rank 2 made it wait.
    check(
        only.calls.by,
        round(caused),
        host_behind=lone + shared * 0.5,
        memory=lone * 0.5 + shared * 0.25,
        compute=lone * 0.25,
    )


@pytest.mark.parametrize("world_size", [8, 32])
def test_what_exposed_time_is(tmp_path: Path, world_size: int) -> None:
    program = Program(world_size)
    for step in range(10):
        for rank in program.ranks:
            program.compute(rank, COMPUTE_NS + (PLANTED_NS if rank == 2 and step % 2 else 0))
        program.call(program.ranks, ns=4 * TRANSFER_NS if step % 5 == 4 else TRANSFER_NS)
        program.end_step()
    for one in report(program, tmp_path).ranks:
        expected = {"transfer": 10 * TRANSFER_NS, "slow_transfer": 2 * 3 * TRANSFER_NS}
        waited = {} if one.rank == 2 else {"peer": 5 * PLANTED_NS}
        check(one.exposed_is, one.exposed_comm_ns, **expected, **waited)


def same_stream(program: Program) -> None:
    program.call(program.ranks)
    for rank in program.ranks:
        program.compute(rank, COMPUTE_NS)


def dependent(program: Program) -> None:
    program.call(program.ranks, stream=SIDE_STREAM)
    for rank in program.ranks:
        program.wait(rank, stream=MAIN_STREAM, on=SIDE_STREAM)
        program.compute(rank, COMPUTE_NS)


def nothing_launched(program: Program) -> None:
    program.call(program.ranks, stream=SIDE_STREAM)
    for rank in program.ranks:
        program.host(rank, 2 * TRANSFER_NS, "aten::item")
        program.compute(rank, COMPUTE_NS)


def behind_call(program: Program) -> None:
    program.call(program.ranks, stream=SIDE_STREAM)
    for at in program.ranges(4):
        program.call(at, stream=SIDE_STREAM)
    for rank in program.ranks:
        program.wait(rank, stream=MAIN_STREAM, on=SIDE_STREAM)
        program.compute(rank, COMPUTE_NS)


def waiting(program: Program) -> None:
    for rank in program.ranks:
        program.copy(rank, 2 * TRANSFER_NS)
    program.call(program.ranks, stream=SIDE_STREAM)
    for rank in program.ranks:
        program.compute(rank, COMPUTE_NS)


@pytest.mark.parametrize(
    ("act", "parts"),
    [
        (same_stream, {"same_stream": 1}),
        (dependent, {"dependent": 1}),
        (nothing_launched, {"nothing_launched": 1}),
        (behind_call, {"behind_call": 1, "dependent": 1}),
        (waiting, {"waiting": 1}),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_what_leaves_it_uncovered(tmp_path: Path, act: Callable[[Program], None], parts: dict[str, int]) -> None:
    program = Program(8, sizes=(4,))
    for _ in range(STEPS):
        act(program)
        program.end_step()
    for one in report(program, tmp_path).ranks:
        expected = {name: calls * STEPS * TRANSFER_NS for name, calls in parts.items()}
        check(one.uncovered_by, one.exposed_comm_ns, **expected)


@pytest.mark.parametrize("world_size", [8, 32])
def test_all_that_leaves_it_uncovered_at_once(tmp_path: Path, world_size: int) -> None:
    program = Program(world_size, sizes=(4,))
    for _ in range(STEPS):
        for act in (same_stream, dependent, nothing_launched, behind_call, waiting):
            act(program)
            for rank in program.ranks:
                program.synchronize(rank)
        program.end_step()
    once = STEPS * TRANSFER_NS
    expected = {"same_stream": once, "dependent": 2 * once, "nothing_launched": once, "behind_call": once}
    for one in report(program, tmp_path).ranks:
        check(one.uncovered_by, one.exposed_comm_ns, **expected, waiting=once)


def test_why_a_gpu_is_idle_and_where_its_host_is(tmp_path: Path) -> None:
    program = Program(8)
    for _ in range(STEPS):
        for rank in program.ranks:
            program.compute(rank, COMPUTE_NS)
            program.synchronize(rank)
            program.host(rank, 2 * PLANTED_NS, "aten::to")
            program.host(rank, PLANTED_NS)
            program.compute(rank, COMPUTE_NS)
            program.stall(rank, PLANTED_NS)
        program.call(program.ranks)
        program.end_step()
    for one in report(program, tmp_path).ranks:
        check(one.idle_by, one.idle_ns, host_behind=3 * STEPS * PLANTED_NS, waiting=STEPS * PLANTED_NS)
        first, second = one.host_behind_in[:2]
        assert (first.kind, first.name) == ("operator", "aten::to")
        assert first.ns == pytest.approx(2 * STEPS * PLANTED_NS, rel=WITHIN)
        assert (second.kind, second.name) == ("span", "train_step")
        assert second.ns == pytest.approx(STEPS * PLANTED_NS, rel=WITHIN)


def test_the_first_screen_names_the_late_rank_and_why(tmp_path: Path) -> None:
    traces = steps(Program(8, sizes=(4,)), busy_host, group=range(4)).write(tmp_path / "traces")
    outcome = analysis.analyze(tmp_path / "report", traces)
    told = "Late rank 2 1.00 ms a step later than its peers its host is behind, in aten::to"
    assert told in Page(outcome.html).text
    assert "late because         its host is behind, in aten::to" in outcome.stdout
