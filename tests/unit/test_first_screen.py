"""What the report answers before anyone scrolls."""

from dataclasses import replace

import pytest

from tests import reports
from tests.page import Page
from tests.report_variants import many_runs, without_calls
from traceana.render.answer.of_comparison import mix_speedup
from traceana.render.html import render
from traceana.render.sections.ranking import ranking
from traceana.render.text.summary import summary
from traceana.report import (
    Noise,
    Straggler,
)


def test_the_first_screen_answers() -> None:
    text = Page(render(reports.two_runs())).text
    assert "pynccl is faster than torch at all 5 sizes: all_to_all 12 MiB (1.30×), " in text
    for answer in (
        "Is pynccl faster? 1.32× speed-up of communication faster at 5 of 5 rows",
        "Where? all_to_all 12 MiB saves 2.25 ms a step faster: 1.30×",
        "Does it matter end to end? 41.4 ms → 37.8 ms median denoise_step cannot tell: 1.10×",
        "Can I trust it? Only 1 run a side intervals over calls",
    ):
        assert answer in text


def test_trust_is_qualified_by_the_gravest_doubt() -> None:
    slow, fast = reports.two_runs().runs
    plain = reports.compare(slow, fast)
    repeated = replace(plain, interval_basis="repeats", baseline_runs=("a", "b", "c"), candidate_runs=("d", "e", "f"))
    noisy = replace(repeated, noise=("rank 1 slows down",))
    unfair = replace(noisy, comparable=False, reasons=("world sizes differ",))
    answers = {"3 runs a side": repeated, "Noisy": noisy, "Not like for like": unfair}
    for answer, comparison in answers.items():
        text = Page(render(reports.report(slow, fast, comparisons=(comparison,)))).text
        assert f"Can I trust it? {answer} intervals over repeats" in text
        assert "they take runs as the sample (3 of torch, 3 of pynccl)" in text


def test_reasons_against_a_comparison_are_told() -> None:
    slow, fast = reports.two_runs().runs
    comparison = reports.compare(slow, fast, reasons=("world sizes differ: 2 and 4",))
    text = Page(render(reports.report(slow, fast, comparisons=(comparison,)))).text
    assert "Not like for like." in text
    assert "world sizes differ: 2 and 4" in text
    assert "But the runs are not like for like" in text
    assert "Like for like." not in text


def test_several_candidates_are_ranked() -> None:
    ranked = ranking(many_runs())
    assert [one.candidate.label for one in ranked][:3] == ["run 9", "run 8", "run 7"]
    speedups = [one.speedup or 0 for one in ranked]
    assert speedups == sorted(speedups, reverse=True)
    assert len(ranked) == 9
    assert ranked[0].verdicts == "faster at 5 of 5 rows"
    assert ranked[0].worth_ns == sum(row.worth_ns or 0 for row in many_runs().comparisons[-1].rows)
    assert "All candidates against run 0" in Page(render(many_runs())).text
    assert ranking(reports.two_runs()) == ()


def test_a_run_s_noise_is_told_where_nothing_is_compared() -> None:
    (run,) = reports.one_run().runs
    noisy = replace(run, noise=(Noise(kind="uneven", rank=1, change=0.2, text="rank 1 computes slower"),))
    assert "Noisy. torch : rank 1 computes slower" in Page(render(reports.report(noisy))).text


def test_of_many_doubts_three_are_told_at_once() -> None:
    slow, fast = reports.two_runs().runs
    noisy = replace(reports.compare(slow, fast), noise=tuple(f"run {number} is slow" for number in range(5)))
    page = render(reports.report(slow, fast, comparisons=(noisy,)))
    before, _, after = page.partition("<summary>2 more</summary>")
    assert "run 2 is slow" in before
    assert "run 3 is slow" not in before
    assert "run 4 is slow" in after


def test_where_most_rows_cannot_tell_the_answer_is_not_no() -> None:
    slow, fast = reports.two_runs().runs
    plain = reports.compare(slow, fast)
    verdicts = ("no difference", *["cannot tell"] * (len(plain.rows) - 1))
    rows = tuple(replace(row, verdict=verdict) for row, verdict in zip(plain.rows, verdicts, strict=True))
    text = Page(render(reports.report(slow, fast, comparisons=(replace(plain, rows=rows),)))).text
    assert "Is pynccl faster? Cannot tell" in text


def test_a_wrong_backend_is_an_error_at_the_top() -> None:
    (run,) = reports.one_run().runs
    assert run.setup is not None
    wrong = replace(run, setup=replace(run.setup, backend_mismatch="the traces show torch.distributed"))
    text = Page(render(reports.report(wrong))).text
    error = "Wrong backend. torch : the traces show torch.distributed"
    assert text.index(error) < text.index("torch communicates for")


def test_without_a_certain_difference_no_number_is_shown_as_the_answer() -> None:
    slow, fast = reports.two_runs().runs
    plain = reports.compare(slow, fast)
    nowhere = "Where? Nowhere no row has a certain difference"
    remedy = "What would settle it? 7 runs a side at least for all 5 rows without a verdict"
    answers = {"no difference": ("Not measurably", nowhere), "cannot tell": ("Cannot tell", remedy)}
    for verdict, (answer, then) in answers.items():
        rows = tuple(replace(row, verdict=verdict, runs_needed=7) for row in plain.rows)
        text = Page(render(reports.report(slow, fast, comparisons=(replace(plain, rows=rows),)))).text
        assert f"Is pynccl faster? {answer} speed-up of communication seen: 1.32×" in text
        assert then in text


def test_without_a_steady_call_no_speed_up_is_shown() -> None:
    slow, fast = reports.two_runs().runs
    plain = reports.compare(slow, fast)
    rows = tuple(replace(row, baseline_count=0, candidate_count=0, verdict="cannot tell") for row in plain.rows)
    comparison = replace(plain, rows=rows)
    assert mix_speedup(comparison) is None
    assert (
        "speed-up of communication seen: – " in Page(render(reports.report(slow, fast, comparisons=(comparison,)))).text
    )


def test_what_one_run_a_side_saw_is_of_all_rows() -> None:
    slow, fast = reports.two_runs().runs
    plain = reports.compare(slow, fast)
    even = replace(plain.rows[0], verdict="no difference", baseline_p50_ns=100, candidate_p50_ns=100, speedup=1.0)
    seen = replace(even, op="all_gather", verdict="cannot tell", candidate_p50_ns=50, speedup=2.0)
    lone = replace(plain, rows=(even, seen))
    assert mix_speedup(lone) == pytest.approx(4 / 3)
    repeats = ("1", "2", "3")
    assert mix_speedup(replace(lone, baseline_runs=repeats, candidate_runs=repeats)) == 1


def test_the_best_candidate_is_one_that_these_runs_can_tell_of() -> None:
    runs = [reports.run("torch"), reports.run("lucky", speed=1.5), reports.run("even")]
    lucky, even = (reports.compare(runs[0], run) for run in runs[1:])
    lucky = replace(lucky, rows=tuple(replace(row, verdict="cannot tell") for row in lucky.rows))
    even = replace(even, rows=tuple(replace(row, verdict="no difference") for row in even.rows))
    report = reports.report(*runs, comparisons=(lucky, even))
    assert [one.candidate.label for one in ranking(report)] == ["even", "lucky"]
    text = Page(render(report)).text
    assert "Best of 2 candidates: even and torch are equally fast at all 5 sizes." in text


def test_the_costliest_call_is_not_said_to_take_most_of_the_time() -> None:
    assert "all_to_all 12 MiB takes the largest part." in Page(render(reports.one_run())).text


def test_one_run_says_how_much_it_communicates() -> None:
    text = Page(render(reports.one_run())).text
    assert "torch communicates for 45.6 % of its window" in text
    assert "Comparison" not in text


def test_a_run_without_communication_says_so() -> None:
    assert "No communication was found in torch." in Page(render(without_calls())).text


def test_the_summary_of_one_run_is_its_answer_and_of_two_the_comparison() -> None:
    answer, missing = summary(reports.one_run())
    assert answer.title.startswith("torch communicates for")
    assert missing.notes == (
        "Call sites (torch: 8 of 144 calls). No user span and no module was open when these calls were launched; "
        "traceana capture --stacks records modules.",
    )
    titles = [table.title for table in summary(reports.two_runs())]
    assert titles[0] == "pynccl against torch"
    assert titles[-1] == "What this cannot know"


def test_one_run_names_the_rank_that_its_peers_wait_for() -> None:
    run = reports.run("torch")
    late = replace(run, stragglers=(Straggler(rank=2, times_last=10, wait_caused_ns=30_000_000),))
    assert "Its peers wait most for rank 2: 30.0 ms together." in Page(render(reports.report(late))).text
    assert "wait most for" not in Page(render(reports.report(replace(run, stragglers=())))).text
