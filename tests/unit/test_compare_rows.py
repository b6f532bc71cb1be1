"""Which rows a comparison has, what they are worth, and what may not be said of them."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from msgspec.structs import replace

from tests import reports
from tests.simulation import KEYS, LARGE, MEDIUM, SMALL, Truth, side
from traceana.analyze.calls import Calls
from traceana.analyze.collectives import C10D, Signature
from traceana.comparing.comparison import compare
from traceana.comparing.end_to_end import Measured, of_runs
from traceana.comparing.rows import PYNCCL
from traceana.comparing.sides import Side
from traceana.comparing.verdict import judge
from traceana.report import Comparison, ComparisonRow, OverlapPrice, RunReport, StepComparison

US = 1_000
QUIET = Truth(run_noise=0.002)


def sides(baseline: Truth = QUIET, candidate: Truth = QUIET) -> tuple[Side, Side]:
    random = np.random.default_rng(7)
    return side("a", baseline, random), side("b", candidate, random)


def with_calls(found: Side, change: Callable[[Calls], Calls]) -> Side:
    return replace(found, runs=tuple(replace(run, calls=change(run.calls)) for run in found.runs))


def with_signatures(found: Side, change: Callable[[Signature], Signature]) -> Side:
    return with_calls(found, lambda calls: replace(calls, signatures=tuple(map(change, calls.signatures))))


def with_reports(found: Side, change: Callable[[RunReport], RunReport]) -> Side:
    return replace(found, runs=tuple(replace(run, report=change(run.report)) for run in found.runs))


def of_two_group_sizes(calls: Calls) -> Calls:
    """Every second collective is in a group of two."""
    pairs = tuple(replace(signature, group_size=2) for signature in calls.signatures)
    code = calls.signature + len(calls.signatures) * (calls.collective % 2)
    return replace(calls, signature=code, signatures=(*calls.signatures, *pairs))


def row(comparison: Comparison, op: str, message_bytes: int) -> ComparisonRow:
    (found,) = [one for one in comparison.rows if (one.op, one.message_bytes) == (op, message_bytes)]
    return found


def test_calls_of_one_size_in_groups_of_two_sizes_are_two_rows() -> None:
    a, b = (with_calls(one, of_two_group_sizes) for one in sides())
    found = compare(a, b)
    assert {(one.op, one.message_bytes, one.group_size) for one in found.rows} == {
        (op, size, group_size) for op, size in KEYS for group_size in (2, 4)
    }
    assert found.several_groups
    assert not found.only_baseline


def test_groups_that_one_side_alone_has_are_listed() -> None:
    a, b = sides()
    found = compare(with_calls(a, of_two_group_sizes), b)
    assert {one.group_size for one in found.rows} == {4}
    assert "all_reduce 4\xa0MiB over 2 ranks" in found.only_baseline
    assert found.only_candidate == ()


def test_groups_of_unknown_size_are_compared_over_all_groups() -> None:
    a, b = sides()
    unknown = with_signatures(b, lambda signature: replace(signature, group_size=None))
    found = compare(with_calls(a, of_two_group_sizes), unknown)
    assert {(one.op, one.message_bytes, one.group_size) for one in found.rows} == {(*key, None) for key in KEYS}
    assert all("unknown" not in (one.reason or "") for one in found.rows)


def test_groups_of_other_sizes_have_times_and_no_verdict() -> None:
    a, b = sides()
    for one in compare(a, with_signatures(b, lambda signature: replace(signature, group_size=8))).rows:
        assert (one.group_size, one.verdict) == (None, "cannot tell")
        assert one.reason == "groups of 4 ranks against groups of 8: other work"
        assert one.baseline_p50_ns > 0


def test_worth_is_what_exposed_time_falls_by() -> None:
    """A transfer that compute covers saves nothing, though its wait is exposed and longer than the transfer."""
    a, b = sides(QUIET, replace(QUIET, gain={MEDIUM: 0.5}))

    def exposed_wait(calls: Calls) -> Calls:
        return replace(calls, exposed_ns=np.full(len(calls), 900_000, dtype=np.int64))

    found = row(compare(with_calls(a, exposed_wait), with_calls(b, exposed_wait)), "all_reduce", MEDIUM)
    assert (found.verdict, found.worth_ns, found.worth_reason) == ("faster", 0, None)
    # Two calls a step.
    assert found.baseline_exposed_ns == found.candidate_exposed_ns == 1_800_000


@pytest.mark.parametrize(
    ("certain", "high_ns", "worth", "known"),
    [
        pytest.param(True, 10**9, 200_000, True, id="certain"),
        pytest.param(False, 1, 0, True, id="nothing"),
        pytest.param(False, 10**9, 0, False, id="not known"),
    ],
)
def test_worth_counts_what_compute_takes_longer_where_that_is_certain(
    certain: bool, high_ns: int, worth: int, known: bool
) -> None:
    a, b = sides(QUIET, replace(QUIET, gain={MEDIUM: 0.5}))
    paid = OverlapPrice(
        kernels=50, usual_ns=10**7, extra_ns=1, low_ns=0, high_ns=high_ns, p_value=0.5, certain=certain, step_ns=None
    )

    def slowed(ns: int) -> Callable[[Calls], Calls]:
        hidden = np.zeros(1, dtype=np.int64)
        return lambda calls: replace(
            calls, exposed_ns=np.resize(hidden, len(calls)), slowed_ns=np.resize(hidden + ns * certain, len(calls))
        )

    def priced(report: RunReport) -> RunReport:
        return replace(report, overlap_price=paid)

    both = (
        with_reports(with_calls(side, slowed(ns)), priced) for side, ns in zip((a, b), (300_000, 200_000), strict=True)
    )
    found = compare(*both)
    # Two calls a step.
    assert row(found, "all_reduce", MEDIUM).worth_ns == worth
    assert found.overlap_price_known is known


@pytest.mark.parametrize(
    ("more", "worth"), [pytest.param(10, 0, id="by chance"), pytest.param(100_000, None, id="truly")]
)
def test_worth_is_never_against_its_row(more: int, worth: int | None) -> None:
    a, b = sides(QUIET, replace(QUIET, gain={LARGE: 0.3}))
    exposed_ns = 200_000

    def exposed(extra: int) -> Callable[[Calls], Calls]:
        return lambda calls: replace(calls, exposed_ns=np.full(len(calls), exposed_ns + extra, dtype=np.int64))

    found = row(compare(with_calls(a, exposed(0)), with_calls(b, exposed(more))), "all_gather", LARGE)
    assert (found.verdict, found.worth_ns) == ("faster", worth)
    assert (found.worth_reason is not None and "exposed time rises by 200\xa0µs" in found.worth_reason) == (
        not worth and worth is None
    )


def test_worth_is_withheld_where_calls_are_not_as_many() -> None:
    a, b = sides(QUIET, replace(QUIET, calls=3))
    found = compare(a, b)
    assert {one.worth_ns for one in found.rows} == {None}
    assert {one.worth_reason for one in found.rows} == {"other calls a step: 2 on a rank against 3"}


def test_worth_is_withheld_where_windows_are_not_alike_and_no_step_is_marked() -> None:
    a, b = (
        with_reports(one, lambda report: replace(report, steps=())) for one in sides(QUIET, replace(QUIET, steps=30))
    )
    found = compare(a, b)
    assert found.worth_per == "run"
    assert {one.worth_ns for one in found.rows} == {None}
    # As many calls of one kind in a window with fewer of the others.
    rest = with_calls(
        b, lambda calls: replace(calls, warm_up=calls.warm_up | ((calls.signature > 0) & (calls.step > 10)))
    )
    both = compare(b, rest)
    assert {one.worth_ns for one in both.rows} == {None}
    assert any((one.worth_reason or "").startswith("other windows: ") for one in both.rows)


def test_worth_is_withheld_where_ranks_are_not_as_many() -> None:
    a, b = sides()
    found = compare(a, with_reports(b, lambda report: replace(report, world_size=8)))
    assert {one.worth_reason for one in found.rows} == {"other world sizes: 4, 8 ranks"}


def test_one_run_a_side_is_never_faster_or_slower() -> None:
    a, b = sides(
        replace(QUIET, repeats=1),
        replace(QUIET, repeats=1, gain={SMALL: 0.5, MEDIUM: 0.5, LARGE: 0.5}),
    )
    found = compare(a, b)
    judged: list[ComparisonRow | StepComparison] = [*found.rows, *found.end_to_end]
    assert {one.verdict for one in judged} == {"cannot tell"}
    assert all("one run a side" in (one.reason or "") for one in found.rows)
    assert {one.p_value for one in judged} == {None}
    assert "seen 1.97×, one run a side" in (row(found, "all_reduce", LARGE).reason or "")


def test_runs_of_one_program_are_rarely_called_different_however_they_are_labelled() -> None:
    runs = side("a", Truth(repeats=8, run_noise=0.02, steps=12), np.random.default_rng(3)).runs
    alarms = 0
    splits = [chosen for chosen in combinations(range(8), 4) if 0 in chosen]
    for chosen in splits:
        ours = tuple(runs[n] for n in chosen)
        theirs = tuple(run for n, run in enumerate(runs) if n not in chosen)
        found = compare(Side(label="a", runs=ours), Side(label="b", runs=theirs))
        verdicts = [one.verdict for one in found.rows] + [one.verdict for one in found.end_to_end]
        alarms += bool({"faster", "slower"} & set(verdicts))
    assert len(splits) == 35
    assert alarms <= 0.05 * len(splits)


def of_backend(found: Side, backend: str, source: str) -> Side:
    ranks = tuple(replace(reports.rank_report(rank), source=source) for rank in range(4))
    issued = with_signatures(found, lambda signature: replace(signature, backend=backend))
    return with_reports(issued, lambda report: replace(report, ranks=ranks))


@pytest.mark.parametrize(
    ("backends", "source", "expected"),
    [
        pytest.param((C10D, PYNCCL), "gpu", True, id="PyNccl over torch.distributed"),
        pytest.param((PYNCCL, C10D), "gpu", False, id="the other way round"),
        pytest.param((C10D, C10D), "gpu", False, id="one backend"),
        pytest.param((C10D, "direct call"), "gpu", False, id="not known to be PyNccl"),
        pytest.param((C10D, PYNCCL), "cpu", False, id="no GPU"),
    ],
)
def test_something_is_expected_of_pynccl_over_torch_on_gpus_alone(
    backends: tuple[str, str], source: str, expected: bool
) -> None:
    a, b = (of_backend(one, backend, source) for one, backend in zip(sides(), backends, strict=True))
    found = row(compare(a, b), "all_reduce", LARGE)
    assert (found.expected_low is not None) == expected
    if expected:
        assert (found.expected_low, found.expected_high) == pytest.approx((1 / 0.7, 1 / 0.5))


def exposed(baseline_ns: int, candidate_ns: int, jitter_ns: int = 0) -> StepComparison:
    random = np.random.default_rng(5)
    step = reports.run("a").steps[1]

    def runs(ns: int, step_ns: int) -> list[RunReport]:
        times = [[max(0, round(ns + random.normal(0, jitter_ns))) for _ in range(8)] for _ in range(3)]
        return [
            replace(
                reports.run("a"),
                steps=tuple(replace(step, duration_ns=step_ns, exposed_comm_ns=one, warm_up=False) for one in of_run),
            )
            for of_run in times
        ]

    (found,) = _exposed(of_runs(runs(baseline_ns, 9_000_000), runs(candidate_ns, 8_300_000), repeats=True, doubt=None))
    return found


def _exposed(times: list[Measured]) -> list[StepComparison]:
    verdicts = judge([one.case for one in times])
    return [one.judged(its) for one, its in zip(times, verdicts, strict=True) if one.metric == "exposed"]


@pytest.mark.parametrize(
    ("baseline_ns", "candidate_ns", "verdict"),
    [
        pytest.param(20 * US, 20 * US, "no difference", id="equal in a shorter step"),
        pytest.param(20 * US, 20_900, "no difference", id="less than a microsecond"),
        pytest.param(20 * US, 22 * US, "slower", id="two microseconds"),
        pytest.param(40 * US, 20 * US, "faster", id="half"),
        pytest.param(0, 900, "no difference", id="next to nothing"),
        pytest.param(50 * US, 0, "faster", id="none left"),
    ],
)
def test_exposed_communication_has_a_floor_of_its_own(baseline_ns: int, candidate_ns: int, verdict: str) -> None:
    found = exposed(baseline_ns, candidate_ns)
    assert (found.baseline_p50_ns, found.candidate_p50_ns, found.verdict) == (baseline_ns, candidate_ns, verdict)
    assert found.speedup == pytest.approx(max(baseline_ns, US) / max(candidate_ns, US), rel=1e-3)


def test_exposed_communication_within_its_noise_is_no_difference_or_not_known() -> None:
    assert exposed(20 * US, 20 * US, jitter_ns=200).verdict == "no difference"
    assert exposed(20 * US, 22 * US, jitter_ns=10 * US).verdict == "cannot tell"


def test_worth_is_withheld_where_other_communication_runs_beside_it() -> None:
    """All of a transfer is beside another call, which exposes the same time however short the transfer gets."""
    a, b = sides(QUIET, replace(QUIET, gain={LARGE: 0.3}))

    def beside(calls: Calls) -> Calls:
        return replace(calls, start_ns=calls.start_ns // 100)

    faster = row(compare(with_calls(a, beside), with_calls(b, beside)), "all_reduce", LARGE)
    assert (faster.verdict, faster.worth_ns) == ("faster", None)
    assert faster.worth_reason == (
        "other communication runs beside these calls, and which of them exposes the time is not known"
    )
    apart = row(compare(a, b), "all_reduce", LARGE)
    assert apart.worth_ns == pytest.approx(2 * 0.3 * (20_000 + LARGE / 40), rel=0.1)
