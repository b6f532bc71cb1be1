"""Searches on simulated jobs: what they find, what they do not claim, and what they never run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.sweeping import Simulated, axis, plan
from traceana.bench.plan import sizes
from traceana.errors import TraceanaError
from traceana.report import RunReport
from traceana.sweep import screen, space
from traceana.sweep.cells import Cell, cells
from traceana.sweep.journal import read
from traceana.sweep.order import Turn
from traceana.sweep.plan import Axis, Limits, Plan
from traceana.sweep.report import SweepReport
from traceana.sweep.tuning import Tuning

THREE = (
    axis("env.NCCL_P2P_DISABLE", "unset"),
    axis("env.NCCL_MAX_CTAS", "8", "16"),
    axis("env.NCCL_BUFFSIZE", "1048576", "16777216"),
)


def asked(*axes: Axis, **others: object) -> Plan:
    return (
        plan(*axes, command=("job",), **{"repeats": 5, "traced": False, **others}) if axes else plan_without(**others)
    )


def plan_without(**others: object) -> Plan:
    return Plan(name="tune", command=("job",), axes=(), **{"traced": False, **others})  # type: ignore[arg-type]


def tuned(folder: Path, wanted: Plan, runner: Simulated, most: int = 24) -> SweepReport:
    return Tuning(wanted, folder, {"NCCL_P2P_DISABLE": "1"}, most).go(lambda text: None, runner)


def planted(cell: Cell) -> float:
    """The switch is what makes the job slow; the other variables are worth next to nothing."""
    return (70 if cell.choice("env.NCCL_P2P_DISABLE") == "unset" else 100) + (cell.choice("env.NCCL_MAX_CTAS") == "8")


def test_a_planted_setting_is_found_and_named_with_its_interval(tmp_path: Path) -> None:
    found = tuned(tmp_path, asked(*THREE), Simulated(planted, spread=0.02))
    assert found.winner is not None
    assert "env.NCCL_P2P_DISABLE=unset" in found.winner
    assert found.sentence.startswith("NCCL_P2P_DISABLE=unset")
    assert "on 5 runs that did not choose it" in found.sentence
    winner = next(cell for cell in found.cells if cell.label == found.winner)
    assert winner.against_baseline is not None
    assert winner.against_baseline.ci_low is not None
    assert winner.against_baseline.ci_high is not None
    assert winner.against_baseline.ci_low < 100 / 70 * 1.03
    assert winner.against_baseline.ci_high > 100 / 72
    assert winner.shell[0] == "unset NCCL_P2P_DISABLE"


def test_a_search_among_equals_seldom_names_a_winner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # a thousand of them take longer than all the rest
    named = [
        tuned(tmp_path / str(seed), asked(*THREE), Simulated(lambda cell: 100, spread=0.02, seed=seed), most=7).winner
        for seed in range(40)
    ]
    assert sum(winner is not None for winner in named) <= 2


def test_none_is_said_to_be_none(tmp_path: Path) -> None:
    found = tuned(tmp_path, asked(*THREE), Simulated(lambda cell: 100, spread=0.02))
    assert found.winner is None
    assert found.sentence == "No setting is certainly better than what the environment has."


def test_a_round_runs_each_setting_once_and_keeps_half(tmp_path: Path) -> None:
    runner = Simulated(planted, spread=0)
    found = tuned(tmp_path, asked(*THREE), runner)
    assert found.search is not None
    assert found.search.settings == 2 * 3 * 3
    assert [(len(one.ran), len(one.kept)) for one in found.search.rounds] == [(17, 8), (8, 4), (4, 2)]
    assert len(runner.ran) == 1 + (18 + 9 + 5) + 3 * 5
    assert len(set(runner.ran)) == len(runner.ran)


def test_a_search_that_was_killed_goes_on(tmp_path: Path) -> None:
    whole = tuned(tmp_path / "whole", asked(*THREE), Simulated(planted))

    class Dying(Simulated):
        def __call__(self, turn: Turn) -> Any:
            if len(self.ran) == 7:
                raise SystemExit
            return super().__call__(turn)

    for _ in range(20):
        try:
            again = tuned(tmp_path / "killed", asked(*THREE), Dying(planted))
            break
        except SystemExit:
            continue
    assert again == whole
    assert read(tmp_path / "killed") == read(tmp_path / "whole")


def test_a_setting_that_fails_is_out(tmp_path: Path) -> None:
    runner = Simulated(planted)
    runner.fails = lambda turn: turn.cell.choice("env.NCCL_P2P_DISABLE") == "unset"
    found = tuned(tmp_path, asked(*THREE), runner)
    assert found.winner is None
    assert not any("unset" in cell.label for cell in found.cells)


def test_a_limit_ends_a_search_without_a_winner(tmp_path: Path) -> None:
    found = tuned(tmp_path, asked(*THREE, limits=Limits(whole_s=2)), Simulated(planted))
    assert found.winner is None
    assert found.unfinished is not None
    assert "time limit" in found.unfinished


def test_the_safe_space_begins_with_what_there_is() -> None:
    axes = space.default_axes({"NCCL_P2P_DISABLE": "1", "NCCL_MAX_CTAS": "4", "NCCL_PROTO": "LL"})
    choices = {one.name: [choice.label for choice in one.choices] for one in axes}
    assert choices["env.NCCL_P2P_DISABLE"] == ["asis", "unset"]
    assert choices["env.NCCL_MAX_CTAS"] == ["asis", "unset", "8", "16"]
    assert choices["env.NCCL_PROTO"] == ["asis", "unset", "Simple"]
    assert not {"env.NCCL_ALGO", "env.NCCL_NVLS_ENABLE"} & choices.keys()
    assert "LL128" not in str(axes)
    first = cells(Plan(name="tune", command=("job",), axes=axes), 20_000)[0]
    assert first.environment == ()


@pytest.mark.parametrize("text", ["NCCL_PROTO=LL128", "NCCL_PROTO=^Simple,LL128"])
def test_ll128_is_never_forced(text: str) -> None:
    name, _, value = text.partition("=")
    with pytest.raises(TraceanaError, match="LL128 is never forced"):
        space.checked_axes([axis(f"env.{name}", value)])
    with pytest.raises(TraceanaError, match="LL128 is never forced"):
        space.checked_axes([axis("nccl", "plain", "simple+ll128")])


def test_single_changes_come_before_combinations() -> None:
    everything = cells(asked(*space.checked_axes(THREE)))
    chosen = space.candidates(everything, 8, 0)
    assert chosen[0] == everything[0]
    changes = [sum(value != "asis" for _, value in cell.settings) for cell in chosen]
    assert sorted(changes) == [0, 1, 1, 1, 1, 1, 2, 2] or sorted(changes)[:6] == [0, 1, 1, 1, 1, 1]
    assert len(space.candidates(everything, 3, 0)) == 3


def traced(exposed: float, *ops: str, library: str = "nccl") -> RunReport:
    """As much of a report as a search looks at."""
    step = SimpleNamespace(exposed_payload_ns=round(exposed * 1000), duration_ns=1000, steady=True)
    operations = tuple(SimpleNamespace(op=op, library=library) for op in ops)
    return cast(RunReport, SimpleNamespace(steps=(step,), operations=operations, ranks=()))


def test_variables_without_a_say_are_never_run() -> None:
    axes = (axis("env.NCCL_PROTO", "asis", "Simple"), axis("env.NCCL_MAX_CTAS", "asis", "8"), axis("size", "1"))
    pruned = space.by_trace(axes, traced(0.3, "all_to_all", "send_recv"))
    assert [one.name for one in pruned.axes] == ["env.NCCL_MAX_CTAS", "size"]
    assert pruned.left_out == ("NCCL_PROTO: it has no say in all_to_all, send_recv",)
    assert space.by_trace(axes, traced(0.3, "all_reduce")).left_out == ()
    gloo = space.by_trace(axes, traced(0.3, "all_reduce", library="gloo"))
    assert [one.name for one in gloo.axes] == ["size"]


def test_a_job_that_hides_its_communication_is_not_searched(tmp_path: Path) -> None:
    runner = Simulated(planted)
    tuning = Tuning(asked(*THREE, traced=True), tmp_path, {}, 24)
    found = tuning.go(lambda text: None, runner, lambda folder: traced(0.002, "all_reduce"))
    assert found.winner is None
    assert len(runner.ran) == 1
    assert found.search is not None
    assert found.search.ceiling == pytest.approx(0.002)
    assert found.search.left_out[0].startswith("everything: exposed communication is 0.2")


def test_the_trace_of_a_job_shrinks_its_search(tmp_path: Path) -> None:
    axes = (*THREE, axis("env.NCCL_PROTO", "Simple"))
    tuning = Tuning(asked(*axes, traced=True), tmp_path, {}, 24)
    found = tuning.go(lambda text: None, Simulated(planted), lambda folder: traced(0.4, "all_to_all"))
    assert found.search is not None
    assert (found.search.settings, found.search.tried) == (36, 18)
    assert not any("PROTO=Simple" in label for one in found.search.rounds for label in one.ran)


ASKED = screen.Wanted(ranks=2, operations=("all_to_all", "all_reduce"), smallest=1 << 20, largest=12 << 20)


def test_a_bench_covers_the_calls_of_the_run() -> None:
    arguments = ASKED.arguments
    first, last, factor = (int(arguments[arguments.index(name) + 1]) for name in ("-b", "-e", "-f"))
    assert first == 1 << 20
    assert sizes(first, last, factor)[-1] >= 12 << 20
    assert sizes(5, 5 * factor - 1, factor) == (5,)


def test_what_a_bench_and_a_replay_find_slower_is_never_run(tmp_path: Path) -> None:
    """The bench writes what the step will take; one setting breaks it, and one is only a little slower."""
    times = {None: 100.0, "8": 90.0, "1": 300.0, "16": 103.0}
    ran = []

    def bench(asked: screen.Wanted, variable: screen.Variables | None, file: Path) -> None:
        ran.append(variable)
        if variable == ("NCCL_P2P_DISABLE", "1"):
            raise TraceanaError("exit code 1")
        file.write_text(str(times[variable[1] if variable else None]))

    axes = (
        axis("env.NCCL_MAX_CTAS", "asis", "8", "1", "16"),
        axis("env.NCCL_P2P_DISABLE", "asis", "1"),
        axis("n", "1"),
    )
    found = screen.screened(axes, ASKED, tmp_path, bench, lambda file: float(file.read_text()))
    assert [[choice.label for choice in one.choices] for one in found.axes] == [["asis", "8", "16"], ["asis"], ["1"]]
    assert found.left_out == (
        "NCCL_MAX_CTAS=1: by a bench and the replayed trace a step takes 3.00× as long",
        "NCCL_P2P_DISABLE=1: its bench failed (exit code 1)",
    )
    screen.screened(axes[:1], ASKED, tmp_path, bench, lambda file: float(file.read_text()))
    assert len(ran) == 5


def test_without_a_bench_of_the_baseline_all_is_tried(tmp_path: Path) -> None:
    def bench(asked: screen.Wanted, variable: screen.Variables | None, file: Path) -> None:
        raise TraceanaError("no GPU")

    found = screen.screened(THREE, ASKED, tmp_path, bench, lambda file: 1.0)
    assert (found.axes, found.left_out) == (THREE, ("nothing by a bench: no GPU",))
