"""Which side is compared with which."""

import numpy as np
import pytest
from msgspec.structs import replace

from tests import reports
from tests.simulation import Truth, side
from traceana.comparing.pairs import pairs
from traceana.comparing.sides import Side
from traceana.errors import TraceanaError

ONE = side("one", Truth(repeats=1, steps=2), np.random.default_rng(1))
NVLS_OFF = (("NCCL_NVLS_ENABLE", "0"),)


def of(
    label: str,
    ranks: int = 2,
    backend: str = "torch.distributed",
    nccl: tuple[tuple[str, str], ...] = (),
    argv: str = "a",
) -> Side:
    (run,) = ONE.runs
    setup = replace(reports.setup(label), argv=(argv,), nccl_set=nccl)
    report = replace(run.report, label=label, side=label, world_size=ranks, backend=backend, setup=setup)
    return Side(label=label, runs=(replace(run, report=report),))


def paired(*found: Side, baseline: str | None = None) -> list[tuple[str, str]]:
    return [(one.label, other.label) for one, other in pairs(found, baseline)]


def test_sides_of_as_many_ranks_are_compared() -> None:
    two, four = of("torch"), of("torch-4", ranks=4)
    found = paired(two, four, of("pynccl", backend="pynccl"), of("pynccl-4", ranks=4, backend="pynccl"))
    assert found == [("torch", "pynccl"), ("torch-4", "pynccl-4")]


def test_a_side_differs_from_its_baseline_in_one_thing_where_it_can() -> None:
    found = paired(
        of("torch"),
        of("pynccl", backend="pynccl"),
        of("torch nvls off", nccl=NVLS_OFF),
        of("pynccl nvls off", backend="pynccl", nccl=NVLS_OFF),
        of("other model", argv="b"),
        of("other model pynccl", argv="b", backend="pynccl"),
    )
    assert found == [
        ("torch", "pynccl"),
        ("torch", "torch nvls off"),
        ("torch nvls off", "pynccl nvls off"),
        ("torch", "other model"),
        ("other model", "other model pynccl"),
    ]


def test_a_world_size_that_no_other_has_is_compared_with_the_first() -> None:
    assert paired(of("one", ranks=1), of("two"), of("four", ranks=4)) == [("one", "two"), ("one", "four")]
    assert paired(of("alone")) == []


def test_a_named_baseline_is_that_of_all() -> None:
    sides = (of("torch"), of("torch-4", ranks=4), of("pynccl-4", ranks=4))
    assert paired(*sides, baseline="torch-4") == [("torch-4", "torch"), ("torch-4", "pynccl-4")]
    with pytest.raises(TraceanaError, match="no such run"):
        paired(*sides, baseline="none")
