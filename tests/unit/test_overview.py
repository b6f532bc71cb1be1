"""A run at a glance, in the terminal as on the page."""

import pytest
from msgspec.structs import replace

from tests import reports
from tests.report_variants import many_runs, without_calls
from traceana.render.answer.capture_command import of_a_comparison, of_repeats
from traceana.render.answer.causes import EXPOSED_IS, explained
from traceana.render.answer.glance import MOST_SIDES
from traceana.render.answer.late import late_of, late_rank
from traceana.render.answer.of_run import run_answer
from traceana.render.answer.overview import costly
from traceana.render.answer.top import top_of_run
from traceana.render.answer.typical_step import typical_step
from traceana.render.text.overview import overview_table
from traceana.render.text.tables import show
from traceana.report import Clock, ExposedIs, StepTime, Straggler


def _step(duration_ns: int, *, warm_up: bool = False) -> StepTime:
    compute_ns = duration_ns // 2
    return StepTime(
        name=f"step {duration_ns}",
        duration_ns=duration_ns,
        exposed_comm_ns=duration_ns // 4,
        compute_ns=compute_ns,
        warm_up=warm_up,
    )


def test_the_typical_step_is_a_steady_one_of_middle_length() -> None:
    run = replace(reports.run("torch"), steps=(_step(900, warm_up=True), _step(400), _step(100), _step(200)))
    step = typical_step([run])
    assert step is not None
    assert (step.duration_ns, step.compute_ns, step.exposed_ns, step.other_ns) == (200, 100, 50, 50)
    assert typical_step([replace(run, steps=run.steps[:1])]) is None


def test_the_typical_step_of_repeats_is_as_long_as_the_comparison_says() -> None:
    """Steps of two lengths: over all of them the middle one is long, while two of three runs have short ones."""
    mixes = ((100, 400, 400, 400), (100, 100, 400), (100, 100, 400))
    runs = [replace(reports.run("torch"), steps=tuple(map(_step, mix))) for mix in mixes]
    step = typical_step(runs)
    assert step is not None
    assert step.duration_ns == round((400 * 100 * 100) ** (1 / 3))
    assert (step.compute_ns, step.exposed_ns) == (79, 40), "a half and a quarter, as in each of the steps"


def test_causes_are_means_over_the_ranks_that_have_them_and_the_largest_comes_first() -> None:
    ranks = [
        ExposedIs(peer_ns=100, transfer_ns=300, slow_transfer_ns=0, unexplained_ns=0),
        None,
        ExposedIs(peer_ns=0, transfer_ns=500, slow_transfer_ns=100, unexplained_ns=0),
    ]
    found = explained(ranks, EXPOSED_IS)
    assert [(part.name, part.ns, part.share) for part in found] == [
        ("transfer", 400, 0.8),
        ("waiting for the last rank", 50, 0.1),
        ("slow transfer", 50, 0.1),
    ]
    assert explained([None], EXPOSED_IS) == ()


def test_operations_are_ranked_by_exposed_time_over_all_their_kinds() -> None:
    run = reports.run("torch")
    first = costly([run])[0]
    same = [one for one in run.operations if (one.op, one.message_bytes) == (first.op, first.message_bytes)]
    assert first.exposed_ns == sum(one.exposed_ns for one in same) / len(run.ranks)
    assert costly(without_calls().runs) == ()


def test_what_a_scheduler_says_while_it_waits_comes_behind_payload() -> None:
    """Eight bytes on the host, for as long as there is no work."""
    run = reports.run("serve")
    first = run.operations[0]
    idle = replace(first, op="broadcast", message_bytes=8, library="gloo", exposed_ns=10**12)
    serving = replace(run, operations=(idle, *run.operations))
    assert (costly([serving])[0].op, costly([serving])[0].message_bytes) != ("broadcast", 8)
    assert top_of_run(serving)[0].message_bytes != 8
    alone = replace(run, operations=(idle,))
    assert [one.message_bytes for one in costly([alone])] == [8]
    on_gpu = replace(run, operations=(replace(idle, library="nccl"), *run.operations))
    assert costly([on_gpu])[0].message_bytes == 8


def test_the_exposed_share_leaves_out_what_a_scheduler_waits_and_says_so() -> None:
    run = reports.run("serve")
    ranks = tuple(
        replace(
            rank,
            span_ns=1_000,
            compute_ns=100,
            comm_ns=900,
            overlapped_comm_ns=100,
            exposed_comm_ns=800,
            control_comm_ns=750,
            control_exposed_comm_ns=700,
        )
        for rank in run.ranks
    )
    answer = run_answer(replace(run, ranks=ranks))
    exposed = answer.figures[0]
    assert answer.sentence.replace("\xa0", " ").startswith("serve communicates for 15 % of its window; 33.3 % of")
    assert (exposed.value, exposed.detail.replace("\xa0", " ").rpartition("; ")[2]) == (
        "10\xa0%",
        "not counted: 70 % in control traffic, calls of at most 16 bytes on the host",
    )
    without = run_answer(run).figures[0]
    assert "control" not in without.detail


def test_a_rank_is_late_only_where_the_clocks_can_tell() -> None:
    stragglers = (
        Straggler(rank=0, times_last=100, wait_caused_ns=90_000),
        Straggler(rank=1, times_last=2, wait_caused_ns=80_000),
        Straggler(rank=2, times_last=0, wait_caused_ns=0),
    )
    run = replace(reports.run("torch"), stragglers=stragglers)
    late = {
        residual: late_rank(replace(run, clock=Clock(method="collectives", residual_ns=residual)))
        for residual in (None, 1_000, 50_000)
    }
    assert {residual: one.rank if one else None for residual, one in late.items()} == {None: 0, 1_000: 1, 50_000: None}


def test_the_table_has_a_column_a_side_and_ends_with_what_to_type() -> None:
    table = overview_table(reports.two_runs())
    assert table.columns == ("", "torch", "pynccl")
    facts = {row[0]: row[1:] for row in table.rows}
    assert facts["step's speed-up"] == ("–", "1.10× not certain")
    assert facts["costs most, 1"][0].startswith("all_to_all 12\xa0MiB: ")
    assert facts["exposed"][0].endswith("of the window, 61.0\xa0ms")
    assert facts["which is"] == ("75\xa0% transfer, 25\xa0% waiting for the last rank",) * 2
    assert facts["not covered because"][0].startswith("90\xa0% compute lies behind the call on its stream")
    assert facts["late rank"][0] == "1, 2.67\xa0ms a step that its peers wait together"
    settles = "--backend torch --versus pynccl --repeat 3 -- torchrun --nproc-per-node 2 train.py --prompt 'a cat'"
    assert table.commands == (
        "traceana open traces/torch --at worst-wait",
        f"traceana capture -o more-traces {settles}",
    )
    assert overview_table(reports.one_run()).commands == table.commands


@pytest.mark.parametrize(("source", "other"), [("gpu", "--versus simple"), ("cpu", "--label NAME")])
def test_the_next_command_sets_nccl_only_where_there_is_any(source: str, other: str) -> None:
    run = reports.run("torch")
    assert run.setup is not None
    ranks = tuple(replace(rank, source=source) for rank in run.ranks)
    run = replace(run, ranks=ranks, setup=replace(run.setup, backend_adapter=None, argv=("python", "train.py")))
    command = of_a_comparison(run)
    assert command == f"traceana capture -o more-traces {other} --repeat 3 -- python train.py"


@pytest.mark.parametrize(("seen", "name"), [("custom all-reduce", "custom"), ("CUDA IPC", "ipc"), ("pynccl", "pynccl")])
def test_a_comparison_is_settled_with_the_backends_that_it_showed(seen: str, name: str) -> None:
    one, other = (replace(reports.run("torch"), setup=None, backend=backend) for backend in ("torch.distributed", seen))
    settles = f"traceana capture -o more-traces --backend torch --versus {name} --repeat 5 -- YOUR COMMAND"
    assert of_repeats([one], [other], 5) == settles


def test_a_command_is_printed_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    table = overview_table(reports.two_runs())
    long = "traceana capture -- python " + "generate.py " * 40
    show([replace(table, commands=(long,))])
    assert long.strip() in capsys.readouterr().out


def test_repeats_share_a_column() -> None:
    runs = [
        replace(reports.run(side), label=f"{side}.{repeat}", side=side, repeat=repeat)
        for side in ("torch", "pynccl")
        for repeat in (1, 2, 3)
    ]
    table = overview_table(reports.report(*runs))
    assert table.columns == ("", "torch, 3 runs", "pynccl, 3 runs")
    facts = {row[0]: row[1:] for row in table.rows}
    assert facts["exposed"][0].endswith("of the window, 61.0\xa0ms")


def test_of_many_sides_some_are_left_to_the_report() -> None:
    table = overview_table(many_runs())
    assert len(table.columns) == MOST_SIDES + 1
    assert table.notes[0] == "4 more sides in the report"


def test_a_run_without_calls_has_no_exposed_time() -> None:
    run = without_calls().runs[0]
    ranks = tuple(
        replace(rank, comm_ns=0, exposed_comm_ns=0, exposed_is=None, uncovered_by=None, idle_by=None)
        for rank in run.ranks
    )
    bare = replace(run, ranks=ranks, stragglers=())
    facts = [row[0] for row in overview_table(reports.report(bare)).rows]
    assert facts == ["typical step"]
    assert late_of([bare]) is None
