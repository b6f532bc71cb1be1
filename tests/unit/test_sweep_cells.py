"""From a plan to cells: combinations, constraints, placeholders, environment."""

import re

import pytest

from tests.sweeping import axis, plan
from traceana.errors import TraceanaError
from traceana.sweep.cells import baseline, cells, fill
from traceana.sweep.expressions import evaluate
from traceana.sweep.plan import Axis, Choice

USP = ("job", "--ulysses={ulysses}", "--ring", "{ring}")


def test_every_combination_is_a_cell() -> None:
    found = cells(plan(axis("size", "1", "2"), axis("nccl", "plain", "no-p2p")))
    assert [cell.label for cell in found] == [
        "size=1 nccl=plain",
        "size=1 nccl=no-p2p",
        "size=2 nccl=plain",
        "size=2 nccl=no-p2p",
    ]
    assert [cell.argv for cell in found][::2] == [("job", "--size", "1"), ("job", "--size", "2")]
    assert [cell.environment for cell in found][:2] == [(), (("NCCL_P2P_DISABLE", "1"),)]
    assert [cell.name for cell in found][1] == "size-1_nccl-no-p2p"


def test_constraints_leave_cells_out_and_gpus_are_counted() -> None:
    found = cells(
        plan(
            axis("ulysses", "1", "2", "4"),
            axis("ring", "1", "2", "4"),
            command=USP,
            values=(("gpus", "4"),),
            constraints=("ulysses * ring == gpus",),
            gpus="ulysses * ring",
        )
    )
    assert [cell.argv[1:] for cell in found] == [
        ("--ulysses=1", "--ring", "4"),
        ("--ulysses=2", "--ring", "2"),
        ("--ulysses=4", "--ring", "1"),
    ]
    assert {cell.gpus for cell in found} == {4}


def test_environment_is_set_or_taken_away() -> None:
    found = cells(plan(axis("env.NCCL_ALGO", "unset", "Ring"), command=("job",)))
    assert [cell.environment for cell in found] == [(("NCCL_ALGO", None),), (("NCCL_ALGO", "Ring"),)]


def test_presets_may_come_together_and_backends_act_by_themselves() -> None:
    found = cells(plan(axis("nccl", "simple+few-ctas"), axis("backend", "torch"), command=("job",)))
    assert found[0].presets == ("simple", "few-ctas")
    assert dict(found[0].environment) == {"NCCL_PROTO": "Simple", "NCCL_MIN_CTAS": "1", "NCCL_MAX_CTAS": "4"}
    assert found[0].backend == "torch"


def test_flags_come_and_go_and_other_braces_stay() -> None:
    words = ("job", "{graphs}", '{"a": {size}}', "--prompt", "{prompt}", "{unknown}")
    values = {"graphs": "--graphs --depth 2", "prompt": "a cat", "size": "7"}
    assert fill(words, values) == ("job", "--graphs", "--depth", "2", '{"a": 7}', "--prompt", "a cat", "{unknown}")
    assert fill(words[:2], {"graphs": ""}) == ("job",)


def test_folders_have_plain_names_of_their_own() -> None:
    odd = Axis(name="size", choices=tuple(Choice(label=text, text=text) for text in ("0.5", "0/5", "../x", "--graphs")))
    names = [cell.name for cell in cells(plan(odd))]
    assert [name[:-9] for name in names] == ["size-0-5", "size-0-5", "size-x", "size-graphs"]
    assert len(set(names)) == 4
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)


def test_the_baseline_is_the_first_cell_that_is_as_it_says() -> None:
    asked = plan(axis("size", "1", "2"), axis("nccl", "plain", "no-p2p"), baseline=(("nccl", "no-p2p"),))
    assert baseline(asked, cells(asked)).label == "size=1 nccl=no-p2p"
    missing = plan(axis("size", "1", "2"), baseline=(("size", "3"),))
    with pytest.raises(TraceanaError, match="no cell is the baseline size=3"):
        baseline(missing, cells(missing))


@pytest.mark.parametrize(
    ("axes", "others", "message"),
    [
        ([], {}, "nothing to vary"),
        ([axis("size", "1")], {"command": ("job",)}, "changes nothing"),
        ([axis("size", "1", "1")], {}, "each value must be there once"),
        ([axis("size", "1"), axis("size", "2")], {}, "given twice"),
        ([axis("out", "1")], {}, "each run's own"),
        ([axis("size", "1"), axis("backend", "gloo")], {}, "choose from asis, torch, pynccl"),
        ([axis("size", "1"), axis("nccl", "fast")], {}, "choose from plain, debug"),
        ([axis("size", "1")], {"baseline": (("depth", "1"),)}, "there is no such axis"),
        ([axis("size", "1")], {"command": ()}, "no command to run"),
    ],
)
def test_a_plan_that_cannot_act_is_refused(axes: list[Axis], others: dict[str, object], message: str) -> None:
    with pytest.raises(TraceanaError, match=message):
        plan(*axes, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"constraints": ("size > 5",)}, "no cell fulfils"),
        ({"constraints": ("size > depth",)}, "there is no depth"),
        ({"gpus": "size / 4"}, "whole number of GPUs"),
    ],
)
def test_cells_that_cannot_be_are_refused(others: dict[str, object], message: str) -> None:
    with pytest.raises(TraceanaError, match=message):
        cells(plan(axis("size", "1", "2"), **others))  # type: ignore[arg-type]


def test_cells_that_would_have_one_name_are_refused() -> None:
    both = (axis("a", "1 b=2", "1"), axis("b", "3", "2 b=3"))
    with pytest.raises(TraceanaError, match="the same name"):
        cells(plan(*both, command=("job", "{a}", "{b}")))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 * n == 8 and not n > 4", True),
        ("1 if word == 'asis' else n // 3", 1),
        ("word != 'torch' or n", True),
        ("1 < n < 4", False),
    ],
)
def test_expressions_are_arithmetic(expression: str, value: object) -> None:
    assert evaluate(expression, {"n": "4", "word": "asis"}) == value


@pytest.mark.parametrize("expression", ["__import__('os')", "n.real", "n +", "n / 0", "word + 1", "[1]", "n ** 999"])
def test_expressions_are_nothing_else(expression: str) -> None:
    with pytest.raises(TraceanaError, match=r"cannot be evaluated"):
        evaluate(expression, {"n": "4", "word": "asis"})
