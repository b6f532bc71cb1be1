"""The verdict in words: short, and true of every mixture of verdicts."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from tests import reports
from traceana import units
from traceana.comparing.sentence import opening, qualification, sentence
from traceana.report import Comparison, StepComparison

MS = 1_000_000
THREE = ("1", "2", "3")
STEP = StepComparison(
    metric="step",
    name="denoise_step",
    baseline_count=9,
    candidate_count=9,
    baseline_p50_ns=21 * MS,
    candidate_p50_ns=10 * MS,
    speedup=2.1,
    ci_low=1.9,
    ci_high=2.3,
    p_value=0.001,
    verdict="faster",
    reason=None,
    runs_needed=None,
)


def compared(*verdicts: str, worths_ns: Sequence[int] = (), sized: bool = True) -> Comparison:
    """Row after row of 1, 2, 3, … MiB with these verdicts, each worth a millisecond where nothing else is said."""
    baseline, candidate = reports.two_runs().runs
    plain = reports.compare(baseline, candidate)
    speedups = {"faster": 1.25, "slower": 0.8}
    rows = tuple(
        replace(
            plain.rows[0],
            message_bytes=(index + 1) * reports.MIB if sized else None,
            verdict=verdict,
            speedup=speedups.get(verdict, 1.0),
            baseline_exposed_ns=10 * MS,
            worth_ns=worths_ns[index] if worths_ns else {"faster": MS, "slower": -MS}.get(verdict, 0),
        )
        for index, verdict in enumerate(verdicts)
    )
    return replace(plain, rows=rows, end_to_end=(), interval_basis="repeats", baseline_runs=THREE, candidate_runs=THREE)


def plain(text: str) -> str:
    return text.replace(units.NO_BREAK_SPACE, " ")


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        pytest.param(replace(compared(), end_to_end=()), "torch and pynccl have no operation in common.", id="nothing"),
        pytest.param(
            replace(compared(), end_to_end=(STEP,)),
            "torch and pynccl have no operation in common. Step: 2.10× (95 % interval 1.90–2.30×), faster.",
            id="nothing but a faster step",
        ),
        pytest.param(
            replace(compared(), end_to_end=(replace(STEP, verdict="cannot tell"),)),
            "torch and pynccl have no operation in common.",
            id="nothing, and a step that cannot tell",
        ),
        pytest.param(
            compared("faster", "no difference", "cannot tell"),
            "pynccl is faster than torch at 1 of 3 sizes: all_to_all 1 MiB (1.25×); it saves 1.00 ms a step.",
            id="faster",
        ),
        pytest.param(
            compared("slower", "slower"),
            "pynccl is slower than torch at both sizes: all_to_all 1 MiB (0.8×) and all_to_all 2 MiB (0.8×); "
            "it costs 2.00 ms a step.",
            id="slower everywhere",
        ),
        pytest.param(
            compared("faster", "slower", worths_ns=(3 * MS, -MS)),
            "pynccl is faster than torch at 1 of 2 sizes: all_to_all 1 MiB (1.25×), and slower at 1: "
            "all_to_all 2 MiB (0.8×); it saves 2.00 ms a step.",
            id="both",
        ),
        pytest.param(
            compared("faster", "faster", "faster", "faster"),
            "pynccl is faster than torch at all 4 sizes: all_to_all 1 MiB (1.25×), all_to_all 2 MiB (1.25×) and 2 "
            "more; it saves 4.00 ms a step.",
            id="many",
        ),
        pytest.param(
            replace(compared("faster", worths_ns=(0,)), overlap_price_known=True),
            "pynccl is faster than torch at their only size: all_to_all 1 MiB (1.25×); compute hides it, so nothing "
            "is saved.",
            id="hidden",
        ),
        pytest.param(
            compared("faster", worths_ns=(0,)),
            "pynccl is faster than torch at their only size: all_to_all 1 MiB (1.25×); compute hides it, and whether "
            "that compute gets faster is not certain.",
            id="hidden, at a price that is not known",
        ),
        pytest.param(
            compared("faster", "no difference", sized=False),
            "pynccl is faster than torch at 1 of 2 operations: all_to_all (1.25×); it saves 1.00 ms a step.",
            id="no sizes",
        ),
        pytest.param(
            compared("no difference", "cannot tell"),
            "pynccl and torch are equally fast at 1 of 2 sizes; at the other 1 these runs cannot tell.",
            id="half even",
        ),
        pytest.param(
            compared("no difference", "no difference"), "pynccl and torch are equally fast at both sizes.", id="even"
        ),
        pytest.param(
            compared("cannot tell", "cannot tell"), "Whether pynccl or torch is faster, these runs cannot tell.", id="?"
        ),
    ],
)
def test_the_opening_sentence(comparison: Comparison, expected: str) -> None:
    assert plain(opening(comparison)) == expected


def test_control_traffic_is_no_answer() -> None:
    found = compared("faster", "no difference", worths_ns=(1_000_000, 0))
    told, payload = found.rows
    control = replace(found, rows=(payload, replace(told, control=True)))
    assert control.certain == ()
    assert opening(control) == opening(replace(found, rows=(payload,)))


def test_a_step_is_told_once() -> None:
    for rows in (compared(), compared("faster")):
        assert sentence(replace(rows, end_to_end=(STEP,))).count("Step: ") == 1


def test_one_run_a_side_says_what_was_seen_and_decides_nothing() -> None:
    lone = replace(
        compared("cannot tell", "cannot tell"), baseline_runs=("a",), candidate_runs=("b",), interval_basis="calls"
    )
    lone = replace(lone, rows=(replace(lone.rows[0], speedup=1.12), lone.rows[1]))
    assert plain(opening(lone)) == (
        "Whether pynccl or torch is faster, one run a side cannot tell; seen: all_to_all 1 MiB (1.12×) and "
        "all_to_all 2 MiB (1.00×)."
    )
    assert "nothing is called faster or slower" in qualification(lone)
    half = replace(lone, rows=(lone.rows[0], replace(lone.rows[1], verdict="no difference")))
    assert plain(opening(half)) == (
        "pynccl and torch are equally fast at 1 of 2 sizes; at the other 1 one run a side cannot tell; seen: "
        "all_to_all 1 MiB (1.12×)."
    )


def test_a_worth_that_is_not_known_is_not_zero() -> None:
    known = compared("faster", "faster")
    withheld = replace(known, rows=(known.rows[0], replace(known.rows[1], worth_ns=None)))
    assert withheld.certain_worth_ns is None
    assert plain(opening(withheld)).endswith("what that is worth a step is not known.")


def test_rows_of_one_size_are_told_apart_by_their_groups() -> None:
    found = compared("faster", "no difference")
    groups = tuple(replace(row, message_bytes=reports.MIB, group_size=2 * n) for n, row in enumerate(found.rows, 1))
    assert "faster than torch at 1 of 2 sizes: all_to_all 1 MiB over 2 ranks (1.25×);" in plain(
        opening(replace(found, rows=groups))
    )


def test_what_qualifies_it() -> None:
    told = plain(qualification(compared("faster", "cannot tell")))
    assert told.startswith("That is 5 % of torch's exposed communication. At 1 of 2 sizes these runs")
    assert "cannot tell" not in qualification(compared("faster", "no difference"))
    assert not qualification(compared("cannot tell")).startswith("At")
    assert not qualification(compared("no difference", "cannot tell")).startswith("At")


def test_the_report_s_sentence_is_both() -> None:
    for comparison in reports.two_runs().comparisons:
        assert comparison.sentence == f"{opening(comparison)} {qualification(comparison)}"
