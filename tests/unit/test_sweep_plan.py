"""Plans from YAML and flags, and the ones that come with traceana."""

from pathlib import Path

import pytest

from tests.commands import run
from traceana.errors import TraceanaError
from traceana.sweep.cells import baseline, cells
from traceana.sweep.read_plan import Flags, built_in, parse, plan_of, seconds, text_of

YAML = """
command: job --size {size} {graphs}
axes:
  size: [1, 2]
  graphs: {off: "", on: --graphs}
constraints: [size > 1 or graphs == '']
gpus: size
repeats: 5
metric: "output:took"
baseline: {size: 2, graphs: on}
limits: {run: 90s, time: 2h, gpu_hours: 3.5}
traces: false
"""


def test_a_plan_in_yaml() -> None:
    found = parse(YAML, "mine.yaml")
    assert (found.name, found.command, found.repeats) == ("mine", ("job", "--size", "{size}", "{graphs}"), 5)
    assert [(axis.name, [choice.label for choice in axis.choices]) for axis in found.axes] == [
        ("size", ["1", "2"]),
        ("graphs", ["off", "on"]),
    ]
    assert (found.limits.run_s, found.limits.whole_s, found.limits.gpu_hours) == (90, 7200, 3.5)
    assert not found.traced
    assert [cell.argv for cell in cells(found)] == [
        ("job", "--size", "1"),
        ("job", "--size", "2"),
        ("job", "--size", "2", "--graphs"),
    ]


def test_flags_replace_and_add() -> None:
    flags = Flags(
        command=("--seed", "{seed}"),
        axes=("ulysses=2", "env.NCCL_ALGO=unset,Ring"),
        values=("seed=7",),
        repeats=2,
        metric="wall",
        baseline="ulysses=2",
        time_limit="10m",
    )
    found = plan_of("wan-sp", flags)
    assert found.command[-2:] == ("--seed", "{seed}")
    assert [axis.name for axis in found.axes] == ["ulysses", "backend", "env.NCCL_ALGO"]
    assert [cell.gpus for cell in cells(found)] == [2] * 6
    assert dict(found.values)["seed"] == "7"
    assert (found.repeats, found.metric, found.limits.whole_s) == (2, "wall", 600)


@pytest.mark.parametrize(("name", "count"), [("flux-tp", 7), ("wan-sp", 7), ("wan-usp", 9), ("wan-cfg", 10)])
def test_the_plans_that_come_with_traceana(name: str, count: int) -> None:
    found = cells(plan_of(name, Flags()))
    assert len(found) == count
    assert {cell.backend for cell in found} == {"torch", "pynccl", "asis"}
    assert all("--perf-dump-path" in cell.argv for cell in found)
    assert all(str(cell.gpus) == cell.argv[cell.argv.index("--num-gpus") + 1] for cell in found)
    assert plan_of(name, Flags()).expected


def test_a_built_in_plan_prints_itself(tmp_path: Path) -> None:
    assert built_in() == ("flux-tp", "wan-cfg", "wan-sp", "wan-usp")
    code, stdout, _ = run("sweep", "wan-sp", "--print")
    assert (code, stdout) == (0, text_of("wan-sp"))
    copy = tmp_path / "wan-sp.yaml"
    copy.write_text(stdout)
    assert plan_of(str(copy), Flags()) == plan_of("wan-sp", Flags())


def test_a_baseline_that_flags_took_out_is_the_first_cell() -> None:
    found = plan_of("wan-sp", Flags(axes=("ulysses=2,4",)))
    assert baseline(found, cells(found)).label == "ulysses=2 backend=torch"
    kept = plan_of("wan-sp", Flags(axes=("ulysses=2,1",)))
    assert baseline(kept, cells(kept)).label == "ulysses=1 backend=asis"


@pytest.mark.parametrize(("text", "value"), [("", None), ("90", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86400)])
def test_times(text: str, value: float | None) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["x", "5 weeks", "-3", "0"])
def test_no_times(text: str) -> None:
    with pytest.raises(TraceanaError, match="is no time"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("axis: {size: [1]}", "unknown field"),
        ("axes: [1, 2]", "no plan of a sweep"),
        ("repeats: many", "no plan of a sweep"),
        ("a: [", "no plan of a sweep"),
        ('command: "job \'x"', "quote it as in a shell"),
        ("just words", "no plan of a sweep"),
    ],
)
def test_what_is_no_plan_says_so(text: str, message: str) -> None:
    with pytest.raises(TraceanaError, match=message):
        parse(text, "plan.yaml")


@pytest.mark.parametrize("text", ["size", "=1", "a b=1", "env.=1"])
def test_an_axis_needs_a_name(text: str) -> None:
    with pytest.raises(TraceanaError, match="must be NAME=VALUE"):
        plan_of(None, Flags(command=("job",), axes=(text,)))


def test_no_such_plan() -> None:
    with pytest.raises(TraceanaError, match="flux-tp, wan-cfg"):
        plan_of("wan", Flags())
