import math

import pytest

from traceana.comparing.estimate import Difference, Spread
from traceana.comparing.verdict import Case, holm, judge


def case(speedup: float, error: float, *, df: float = 8, doubt: str | None = None) -> Case:
    spread = Spread(error=error, df=df, run_variance=error**2 * 5)
    return Case(difference=Difference(log_ratio=math.log(speedup), spreads=(spread,)), doubt=doubt, runs=5)


def test_holm_as_in_its_definition() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@pytest.mark.parametrize(
    ("speedup", "error", "verdict"),
    [
        pytest.param(1.12, 0.01, "faster", id="larger and certain"),
        pytest.param(0.9, 0.01, "slower", id="slower and certain"),
        pytest.param(1.005, 0.0005, "no difference", id="certain, but under 1 %"),
        pytest.param(1.0, 0.01, "no difference", id="5 % ruled out"),
        pytest.param(1.03, 0.013, "cannot tell", id="5 % not ruled out"),
        pytest.param(1.12, 0.1, "cannot tell", id="large and uncertain"),
    ],
)
def test_verdicts(speedup: float, error: float, verdict: str) -> None:
    (judged,) = judge([case(speedup, error)])
    assert judged.verdict == verdict
    assert (judged.reason is None) == (judged.runs_needed is None) == (verdict != "cannot tell")


def test_what_is_certain_alone_is_not_among_many() -> None:
    alone, among = case(1.06, 0.02), [case(1.06, 0.02), *[case(1.0, 0.01)] * 20]
    assert judge([alone])[0].verdict == "faster"
    one, *others = judge(among)
    assert one.verdict == "cannot tell"
    assert one.reason
    assert "not among 21 comparisons" in one.reason
    assert {other.verdict for other in others} == {"no difference"}


def test_a_doubt_takes_the_verdict_and_no_place_in_the_family() -> None:
    doubted, other = judge([case(1.5, 0.01, doubt="rank 1 is throttled"), case(1.06, 0.02)])
    assert (doubted.verdict, doubted.reason, doubted.p_value) == ("cannot tell", "rank 1 is throttled", None)
    assert other.verdict == "faster"


def test_without_a_difference_three_runs_are_asked_for() -> None:
    few, enough = judge([Case(difference=None, lack="2 calls", runs=1), Case(difference=None, lack="none", runs=4)])
    assert (few.verdict, few.reason, few.runs_needed) == ("cannot tell", "2 calls", 3)
    assert enough.runs_needed is None


def test_more_runs_than_there_are_is_what_is_needed() -> None:
    (judged,) = judge([case(1.3, 0.12)])
    assert judged.verdict == "cannot tell"
    assert judged.runs_needed
    assert judged.runs_needed > 5
