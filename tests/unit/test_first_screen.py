"""What the report answers before anyone scrolls."""

import re

import pytest
from msgspec.structs import replace

from tests import reports
from tests.page import Page
from tests.report_variants import many_runs, without_calls
from traceana.render.answer.of_comparison import mix_speedup
from traceana.render.answer.ranking import ranking
from traceana.render.html import render
from traceana.render.text.summary import summary
from traceana.report import HostPlace, LateBy, Lateness, LateRank, Noise, Straggler


def test_the_first_screen_answers() -> None:
    text = Page(render(reports.two_runs())).text
    assert "pynccl is faster than torch at all 5 sizes: all_to_all 12 MiB (1.30×), " in text
    for answer in (
        "pynccl against torch · 2 ranks · NVIDIA H200 · torch 2.11.0 · 1 + 1 runs · like for like",
        "Exposed 38.1 % → 32.2 % of the window is exposed communication torch: 75 % transfer; pynccl: 75 % transfer",
        "Transfer itself 1.32× speed-up of communication faster at 5 of 5 rows",
        "Late rank 1 (torch) 2.67 ms a step that its peers wait together",
        "How sure 3 runs a side at least, to settle what these cannot tell: step so far 1 + 1 runs",
        "traceana capture -o more-traces --backend torch --versus pynccl --repeat 3 -- torchrun --nproc-per-node 2",
        "a step of a mean rank operation size issued by torch pynccl speed-up 95 % interval verdict",
        "all_to_all 12 MiB UlyssesAttention ",
    ):
        assert answer in text, answer


def test_trust_is_qualified_by_every_doubt() -> None:
    slow, fast = reports.two_runs().runs
    plain = reports.compare(slow, fast)
    decided = tuple(replace(row, verdict="faster") for row in plain.end_to_end)
    runs = replace(plain, baseline_runs=("a", "b", "c"), candidate_runs=("d", "e", "f"), interval_basis="repeats")
    repeated = replace(runs, end_to_end=decided)
    noisy = replace(repeated, noise=("rank 1 slows down",))
    unfair = replace(noisy, comparable=False, reasons=("world sizes differ",))
    for doubts, comparison in {"": repeated, "noisy": noisy, "not like for like, noisy": unfair}.items():
        text = Page(render(reports.report(slow, fast, comparisons=(comparison,)))).text
        assert f"How sure 3 + 3 runs intervals over repeats {doubts}".strip() in text
        assert "they take runs as the sample (3 of torch, 3 of pynccl)" in text


def test_what_speaks_against_a_comparison_is_behind_a_badge() -> None:
    slow, fast = reports.two_runs().runs
    plain = reports.compare(slow, fast, reasons=("world sizes differ: 2 and 4",))
    noisy = replace(plain, noise=("run 2 is slow",))
    told = replace(slow, coverage=replace(slow.coverage, notes=("odd dtype",)))
    html = render(reports.report(told, fast, comparisons=(noisy,)))
    text = Page(html).text
    assert "· not like for like" in text
    found = "3 caveats not like for like world sizes differ: 2 and 4 noisy run 2 is slow mind torch: odd dtype"
    assert found in text
    assert '<details class="caveats">' in html
    assert "Like for like." not in text
    assert "caveats" not in Page(render(reports.two_runs())).text


def test_several_candidates_are_ranked_in_place_of_the_figures() -> None:
    ranked = ranking(many_runs())
    assert [one.candidate.label for one in ranked][:3] == ["run 9", "run 8", "run 7"]
    speedups = [one.speedup or 0 for one in ranked]
    assert speedups == sorted(speedups, reverse=True)
    assert len(ranked) == 9
    assert ranked[0].verdicts == "faster at 5 of 5 rows"
    assert ranked[0].worth_ns == sum(row.worth_ns or 0 for row in many_runs().comparisons[-1].rows)
    page = Page(render(many_runs()))
    assert "Each candidate against its baseline" in page.text
    assert "10 sides · 2 ranks · NVIDIA H200 · torch 2.11.0 · 1 run a side" in page.text
    assert "figure" not in page.classes
    assert ranking(reports.two_runs()) == ()
    assert "figure" in Page(render(reports.two_runs())).classes


def test_the_ranking_keeps_those_of_one_baseline_together_with_a_badge_a_row() -> None:
    two, four = (
        [reports.run(f"{name}-{ranks}", ranks=ranks, speed=speed) for name, speed in (("torch", 1), ("pynccl", 1.3))]
        for ranks in (2, 4)
    )
    noisy = replace(reports.compare(*two), noise=("rank 1 slows down",))
    report = reports.report(*two, *four, comparisons=(reports.compare(*four), noisy))
    found = [(one.baseline.label, one.candidate.label, one.ranks, len(one.caveats)) for one in ranking(report)]
    assert found == [("torch-4", "pynccl-4", 4, 0), ("torch-2", "pynccl-2", 2, 1)]
    text = Page(render(report)).text
    assert "1 caveat noisy rank 1 slows down" in text
    assert "pynccl-4, 3 runs a side settle it; pynccl-2, 3 runs a side settle it" in text


def test_a_run_s_noise_is_told_where_nothing_is_compared() -> None:
    (run,) = reports.one_run().runs
    noisy = replace(run, noise=(Noise(kind="uneven", rank=1, change=0.2, text="rank 1 computes slower"),))
    assert "1 caveat noisy rank 1 computes slower" in Page(render(reports.report(noisy))).text


def test_what_is_said_of_several_runs_is_said_once() -> None:
    slow, fast = (replace(run, coverage=replace(run.coverage, notes=("odd dtype",))) for run in reports.two_runs().runs)
    text = Page(render(reports.report(slow, fast, comparisons=(reports.compare(slow, fast),)))).text
    assert "1 caveat mind torch, pynccl: odd dtype" in text


def test_what_is_not_certain_is_said_once_with_its_remedy() -> None:
    slow, fast = reports.two_runs().runs
    plain = reports.compare(slow, fast)
    verdicts = ("no difference", "faster", *["cannot tell"] * (len(plain.rows) - 2))
    rows = tuple(
        replace(row, verdict=verdict, runs_needed=7) for row, verdict in zip(plain.rows, verdicts, strict=True)
    )
    of_some = replace(plain, rows=rows)
    of_none = replace(plain, rows=tuple(replace(row, verdict="cannot tell", runs_needed=7) for row in plain.rows))
    for comparison in (of_some, of_none):
        html = render(reports.report(slow, fast, comparisons=(comparison,)))
        text = Page(html).text
        assert len(re.findall("annot tell", Page(html[: html.index('<section id="steps">')], whole=False).text)) == 1
        assert "3 runs a side at least, to settle" in text
        assert "--repeat 3 -- torchrun" in text
    assert (
        "no difference at 1, not certain at 3 of 5 rows"
        in Page(render(reports.report(slow, fast, comparisons=(of_some,)))).text
    )


def test_a_wrong_backend_is_an_error_at_the_top() -> None:
    (run,) = reports.one_run().runs
    assert run.setup is not None
    wrong = replace(run, setup=replace(run.setup, backend_mismatch="the traces show torch.distributed"))
    text = Page(render(reports.report(wrong))).text
    error = "Wrong backend. torch : the traces show torch.distributed"
    assert text.index(error) < text.index("torch communicates for")


def test_a_number_without_a_certain_difference_is_only_seen() -> None:
    slow, fast = reports.two_runs().runs
    plain = reports.compare(slow, fast)
    for verdict, pale in (("no difference", False), ("cannot tell", True)):
        rows = tuple(replace(row, verdict=verdict, runs_needed=7) for row in plain.rows)
        html = render(reports.report(slow, fast, comparisons=(replace(plain, rows=rows),)))
        assert "Transfer itself 1.32× speed-up of communication seen" in Page(html).text
        assert ('<div class="value unsure">1.32×</div>' in html) == pale


def test_without_a_steady_call_no_speed_up_is_shown() -> None:
    slow, fast = reports.two_runs().runs
    plain = reports.compare(slow, fast)
    rows = tuple(replace(row, baseline_count=0, candidate_count=0, verdict="cannot tell") for row in plain.rows)
    comparison = replace(plain, rows=rows)
    assert mix_speedup(comparison) is None
    text = Page(render(reports.report(slow, fast, comparisons=(comparison,)))).text
    assert "Transfer itself – speed-up of communication seen" in text


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


def test_one_run_names_its_costliest_call_with_its_place_and_the_next_command() -> None:
    text = Page(render(reports.one_run())).text
    for answer in (
        "Exposed 38.1 % of the window, 61.0 ms a rank 75 % transfer, 25 % waiting for the last rank; not covered",
        "Costs most all_to_all 12 MiB",
        "exposed a rank in UlyssesAttention",
        "Late rank 1 2.67 ms a step that its peers wait together",
        "Compare a second side shows what a difference is worth traceana capture -o more-traces --backend",
        "Top by exposed time , a mean rank's in its window operation size issued by torch share",
    ):
        assert answer in text, answer


def test_one_run_says_how_much_it_communicates() -> None:
    text = Page(render(reports.one_run())).text
    assert "torch communicates for 45.6 % of its window" in text
    assert "Comparison" not in text


def test_a_run_without_communication_says_so() -> None:
    assert "No communication was found in torch." in Page(render(without_calls())).text


def test_the_summary_of_one_run_is_its_answer_and_of_two_the_comparison() -> None:
    answer, missing = summary(reports.one_run())
    assert answer.title.startswith("torch communicates for")
    assert "" not in answer.notes
    assert answer.commands[0].startswith("traceana capture -o more-traces --backend torch --versus pynccl")
    assert missing.notes == (
        "Call sites (torch: 8 of 144 calls). No user span and no module was open when these calls were launched; "
        "traceana capture --stacks records modules.",
    )
    titles = [table.title for table in summary(reports.two_runs())]
    assert titles[0] == "pynccl against torch"
    assert titles[-1] == "What this cannot know"


def test_one_run_names_the_rank_that_its_peers_wait_for_and_why() -> None:
    run = reports.run("torch")
    late = replace(run, stragglers=(Straggler(rank=2, times_last=10, wait_caused_ns=30_000_000),))
    by = LateBy(
        compute_ns=5_000_000,
        memory_ns=0,
        host_behind_ns=25_000_000,
        held_ns=0,
        waiting_ns=0,
        window_late_ns=0,
        unexplained_ns=0,
    )
    place = HostPlace(kind="operator", name="aten::copy_", ns=20_000_000)
    lateness = Lateness(
        times_last=10,
        wait_caused_ns=30_000_000,
        late_ns=12_000_000,
        by=by,
        rooted_ns=30_000_000,
        rooted_by=by,
        kernels=(),
        host=(place,),
    )
    told = replace(late, late=(LateRank(rank=2, calls=lateness, steady=lateness, steps=()),))
    assert "Late rank 2 10.0 ms a step that its peers wait together" in Page(render(reports.report(late))).text
    assert (
        "Late rank 2 4.00 ms a step later than its peers its host is behind, in aten::copy_"
        in Page(render(reports.report(told))).text
    )
    assert "Late no rank" in Page(render(reports.report(replace(run, stragglers=())))).text
    warm = tuple(replace(wait, warm_up_calls=wait.calls, warm_up_wait_ns=wait.wait_ns) for wait in run.waits)
    only = replace(run, stragglers=(), waits=warm)
    assert "Late Not known every matched call is warm-up" in Page(render(reports.report(only))).text
    unmatched = replace(only, coverage=replace(run.coverage, matched=0))
    assert "Late Not known calls are not matched across ranks" in Page(render(reports.report(unmatched))).text
