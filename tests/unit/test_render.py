import base64
import hashlib
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest

from tests import reports
from traceana import units
from traceana.render.breakdown import breakdown
from traceana.render.comparison import comparison_tables
from traceana.render.headline import mix_speedup
from traceana.render.html import render
from traceana.render.operations import spreads
from traceana.render.perf import perf_tables
from traceana.render.ranking import ranking
from traceana.render.runs import baseline_first, marked_runs
from traceana.render.setup import SetupRow, setup_table
from traceana.render.sites import site_table
from traceana.render.spans import span_rows
from traceana.render.summary import summary
from traceana.render.unknowns import gaps
from traceana.render.waits import waits
from traceana.report import (
    Clock,
    HtaSection,
    HtaTable,
    MemoryCheckpoint,
    MissingRank,
    NcclLog,
    Noise,
    PerfDump,
    Report,
    Stage,
)

HOSTILE = ("<script>alert(1)</script>", '"><img src=x>')
VOID = {"meta", "input", "br", "img", "link"}


class Page(HTMLParser):
    """The report's text and structure; refuses elements that close out of order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace(units.NO_BREAK_SPACE, " ").split())


def without_calls() -> Report:
    run = reports.run("torch")
    empty = replace(
        run,
        operations=(),
        buckets=(),
        stragglers=(),
        waits=(),
        spans=(),
        timeline=None,
        coverage=reports.coverage(0),
    )
    return reports.report(empty)


def many_runs() -> Report:
    runs = [reports.run(f"run {index}", speed=1 + index / 20) for index in range(10)]
    return reports.report(*runs, comparisons=tuple(reports.compare(runs[0], other) for other in runs[1:]))


def on_the_host() -> Report:
    run = reports.run("gloo")
    return reports.report(replace(run, ranks=tuple(replace(rank, source="cpu", gpu=None) for rank in run.ranks)))


def against_unsized() -> Report:
    sized, unsized = reports.run("torch"), reports.run("pynccl", backend="pynccl", speed=1.2, sized=False)
    return reports.report(sized, unsized, comparisons=(reports.compare(sized, unsized),))


VARIANTS = {
    "two runs": reports.two_runs(),
    "one run": reports.one_run(),
    "no run": reports.report(),
    "no calls": without_calls(),
    "64 ranks": reports.two_runs(64),
    "ten runs": many_runs(),
    "on the host": on_the_host(),
    "sizes unknown": against_unsized(),
    "hostile": reports.hostile("".join(HOSTILE)),
    "long names": reports.hostile("ncclDevKernel_" * 40),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_well_formed_and_loads_nothing(variant: str) -> None:
    page = Page(render(VARIANTS[variant]))
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert "style" not in page.attributes
    assert not any(name.startswith("on") for name in page.attributes)


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


def test_it_says_that_the_intervals_take_calls_as_the_sample() -> None:
    sentence = "they take calls as the sample"
    assert sentence in Page(render(reports.two_runs())).text
    assert sentence not in Page(render(reports.one_run())).text


def test_reasons_against_a_comparison_are_told() -> None:
    slow, fast = reports.two_runs().runs
    comparison = reports.compare(slow, fast, reasons=("world sizes differ: 2 and 4",))
    text = Page(render(reports.report(slow, fast, comparisons=(comparison,)))).text
    assert "Not like for like." in text
    assert "world sizes differ: 2 and 4" in text
    assert "But the runs are not like for like" in text
    assert "Like for like." not in text


def test_repeats_share_their_side_s_colour_and_column() -> None:
    runs = [
        replace(reports.run(f"{side}.{repeat}"), side=side, repeat=repeat)
        for side in ("torch", "pynccl")
        for repeat in (1, 2, 3)
    ]
    report = reports.report(*runs)
    assert {mark.label: mark.colour for mark, _ in marked_runs(report)} == {
        run.label: 0 if run.side == "torch" else 1 for run in runs
    }
    table = setup_table(report)
    assert [mark.label for mark in table.sides] == ["torch", "pynccl"]
    folders = next(row for row in table.rows if row.name == "folder")
    assert folders.values[0] == "torch.1: traces/torch.1; torch.2: traces/torch.2; torch.3: traces/torch.3"


def test_what_differs_between_sides_is_apart_from_what_is_equal() -> None:
    slow, fast = reports.two_runs().runs
    assert fast.setup is not None
    tree, devices = (("NCCL_ALGO", "Tree"),), ("CUDA_VISIBLE_DEVICES", "2,3")
    other = replace(fast, setup=replace(fast.setup, nccl_set=tree, environment=(*tree, devices)))
    table = setup_table(reports.report(slow, other))
    by_name = {row.name: row for row in table.rows}
    assert by_name["NCCL_ALGO (set)"].values == ("Ring", "Tree")
    assert not by_name["NCCL_ALGO (set)"].flagged
    assert by_name["CUDA_VISIBLE_DEVICES"].flagged
    assert by_name["NCCL's log: NVLS"].values == ("–", "available")
    assert "NCCL_ALGO" not in by_name
    equal = {row.name: row.values[0] for row in table.equal}
    assert equal["command"] == "torchrun --nproc-per-node 2 train.py --prompt 'a cat'"
    assert equal["NCCL's log: transports"] == "P2P/CUMEM (24 channels)"


def test_the_words_in_which_commands_differ_are_marked() -> None:
    row = SetupRow(name="command", values=("run --backend torch", "run --backend pynccl"), flagged=True)
    assert row.words[1] == (("run", False), ("--backend", False), ("pynccl", True))
    assert SetupRow(name="GPU", values=("H100", "H200"), flagged=True).words == ((("H100", False),), (("H200", False),))


def test_ranks_that_nccl_treats_otherwise_are_told_apart() -> None:
    (run,) = reports.one_run().runs
    assert run.setup is not None
    logs = tuple(NcclLog(rank=rank, facts=(("transports", "SHM" if rank else "P2P"),)) for rank in range(4))
    table = setup_table(reports.report(replace(run, setup=replace(run.setup, nccl_logs=logs))))
    values = {row.name: row.values for row in table.rows}
    assert values["NCCL's log: transports"] == ("rank 0: P2P; rank 1–3: SHM",)


def test_a_row_without_a_steady_call_shows_no_numbers() -> None:
    slow, fast = reports.two_runs().runs
    comparison = reports.compare(slow, fast)
    empty = replace(comparison.rows[0], op="barrier", baseline_p50_ns=0, candidate_p50_ns=0, speedup=0.0, ci_low=None)
    rows = (replace(empty, ci_high=None, verdict="cannot tell"),)
    text = Page(render(reports.report(slow, fast, comparisons=(replace(comparison, rows=rows),)))).text
    assert re.search(r"barrier 12 MiB – – – ", text)
    assert "Hollow" not in text


def test_several_candidates_are_ranked() -> None:
    ranked = ranking(many_runs())
    assert [one.candidate.label for one in ranked][:3] == ["run 9", "run 8", "run 7"]
    speedups = [one.speedup or 0 for one in ranked]
    assert speedups == sorted(speedups, reverse=True)
    assert len(ranked) == 9
    assert ranked[0].verdicts == "faster at 5 of 5 rows"
    assert ranked[0].worth_ns == sum(row.worth_ns for row in many_runs().comparisons[-1].rows)
    assert "All candidates against run 0" in Page(render(many_runs())).text
    assert ranking(reports.two_runs()) == ()


def test_a_run_s_noise_is_told_where_nothing_is_compared() -> None:
    (run,) = reports.one_run().runs
    noisy = replace(run, noise=(Noise(kind="uneven", rank=1, change=0.2, text="rank 1 computes slower"),))
    assert "Noisy. torch : rank 1 computes slower" in Page(render(reports.report(noisy))).text


def test_a_wrong_backend_is_an_error_at_the_top() -> None:
    (run,) = reports.one_run().runs
    assert run.setup is not None
    wrong = replace(run, setup=replace(run.setup, backend_mismatch="the traces show torch.distributed"))
    text = Page(render(reports.report(wrong))).text
    error = "Wrong backend. torch : the traces show torch.distributed"
    assert text.index(error) < text.index("torch communicates for")


def test_call_sites_are_compared_side_by_side() -> None:
    table = site_table(reports.two_runs())
    first = table.rows[0]
    assert (first.site, first.op) == ("UlyssesAttention", "all_to_all")
    assert first.ratio == pytest.approx(1.3, rel=0.1)
    assert table.rows[-1].site is None


def test_call_sites_meet_over_all_sizes_where_one_side_knows_none() -> None:
    slow, fast = against_unsized().runs
    plain = [replace(site, op="send_recv" if site.op == "all_to_all" else site.op) for site in fast.call_sites]
    table = site_table(reports.report(slow, replace(fast, call_sites=tuple(plain))))
    first = table.rows[0]
    assert (first.site, first.op, first.message_bytes) == ("UlyssesAttention", "send_recv", None)
    assert [cell.count for cell in first.cells if cell] == [64, 64]
    assert next(cell.p50_ns for cell in first.cells if cell) is None
    assert all(None not in row.cells for row in table.rows)


def test_without_a_certain_difference_no_number_is_shown_as_the_answer() -> None:
    slow, fast = reports.two_runs().runs
    plain = reports.compare(slow, fast)
    answers = {"no difference": ("Not measurably", "Nowhere"), "cannot tell": ("Cannot tell", "Cannot tell")}
    for verdict, (answer, where) in answers.items():
        rows = tuple(replace(row, verdict=verdict) for row in plain.rows)
        text = Page(render(reports.report(slow, fast, comparisons=(replace(plain, rows=rows),)))).text
        assert f"Is pynccl faster? {answer} speed-up of communication seen: 1.32×" in text
        assert f"Where? {where} no row has a certain difference" in text


def test_the_baseline_comes_first_in_colours_and_columns() -> None:
    slow, fast = reports.two_runs().runs
    report = reports.report(fast, slow, comparisons=(reports.compare(slow, fast),))
    assert [mark.label for mark in site_table(report).sides] == ["torch", "pynccl"]
    assert site_table(report).rows[0].ratio == pytest.approx(1.3, rel=0.1)
    assert [mark.colour for mark, _ in marked_runs(report)] == [1, 0]


def test_charts_draw_the_baseline_s_repeats_first() -> None:
    runs = {
        f"{side}.{repeat}": replace(reports.run(f"{side}.{repeat}"), side=side, repeat=repeat)
        for side in ("pynccl", "torch")
        for repeat in (1, 2, 10)
    }
    sides = replace(reports.compare(runs["torch.1"], runs["pynccl.1"]), baseline="torch", candidate="pynccl")
    report = reports.report(*(runs[name] for name in sorted(runs)), comparisons=(sides,))
    expected = [f"{side}.{repeat}" for side in ("torch", "pynccl") for repeat in (1, 2, 10)]
    drawn = baseline_first(report)
    assert [run.label for run in drawn.runs] == expected
    assert [lane.run.label for lane in spreads(drawn)[0].lanes[:6]] == expected
    assert [bar.run.label for bar in breakdown(drawn).bars[:6]] == expected
    places = [unescape(render(report)).index(f"{name}, rank 0: compute alone") for name in expected]
    assert places == sorted(places)


def test_an_interval_s_ends_are_marked_where_they_are_on_the_plot() -> None:
    slow, fast = reports.two_runs().runs
    plain = reports.compare(slow, fast)
    ends = {(1.29, 1.31): 2, (0.01, 1.31): 1, (None, None): 0}
    for (low, high), caps in ends.items():
        rows = (replace(plain.rows[0], ci_low=low, ci_high=high),)
        (table,) = comparison_tables(reports.report(slow, fast, comparisons=(replace(plain, rows=rows),)))
        assert len(table.rows[0].interval.caps) == caps


def test_a_span_s_row_leads_to_its_slowest_execution_after_the_first() -> None:
    (run,) = reports.one_run().runs
    times = dict(zip(("step 0", "step 1", "step 2"), (900, 300, 400), strict=True))
    steps = tuple(
        replace(run.spans[0].instances[0], name=name, compute_ns=ns, exposed_comm_ns=0) for name, ns in times.items()
    )
    spans = (replace(run.spans[0], name="step", instances=steps), replace(run.spans[1], name="an attention"))
    rows = {row.data.name: row for row in span_rows(reports.report(replace(run, path="my traces", spans=spans)))}
    assert rows["step"].command == "traceana open 'my traces' --at 'step 2'"
    assert rows["an attention"].command == "traceana open 'my traces' --at 'an attention'"


def test_a_name_with_control_characters_is_in_no_command() -> None:
    # Pasted, an interrupt would end the quoted line and what follows would run.
    hostile = render(reports.hostile("step\x03touch x\n 1"))
    assert '<span class="place">' not in hostile
    assert '<span class="place">' in render(reports.hostile("step; touch x 1"))


def test_waits_lead_to_the_timeline_only_where_something_waited() -> None:
    (run,) = reports.one_run().runs
    (found,) = waits(reports.report(run))
    assert found.longest == "traceana open traces/torch --at worst-wait"
    assert {one.op for one in found.longest_by_op} == {wait.op for wait in run.waits}
    idle = replace(run, waits=tuple(replace(wait, wait_ns=0) for wait in run.waits))
    (none,) = waits(reports.report(idle))
    assert (none.longest, none.longest_by_op) == (None, ())


def test_call_sites_with_transfers_on_one_side_only_are_compared_by_duration() -> None:
    slow, fast = reports.two_runs().runs
    unmatched = replace(fast, call_sites=tuple(replace(site, transfer_p50_ns=None) for site in fast.call_sites))
    table = site_table(reports.report(slow, unmatched))
    first = table.rows[0]
    theirs = next(site for site in slow.call_sites if site.message_bytes == first.message_bytes)
    assert first.basis == "duration"
    assert next(cell.p50_ns for cell in first.cells if cell) == theirs.p50_ns
    assert "where a side's calls could not be matched" in Page(render(reports.report(slow, unmatched))).text
    assert not site_table(reports.two_runs()).mixed


def test_without_a_steady_call_no_speed_up_is_shown() -> None:
    slow, fast = reports.two_runs().runs
    plain = reports.compare(slow, fast)
    rows = tuple(replace(row, baseline_count=0, candidate_count=0, verdict="cannot tell") for row in plain.rows)
    comparison = replace(plain, rows=rows)
    assert mix_speedup(comparison) is None
    assert (
        "speed-up of communication seen: – " in Page(render(reports.report(slow, fast, comparisons=(comparison,)))).text
    )


def test_the_best_candidate_is_one_that_these_runs_can_tell_of() -> None:
    runs = [reports.run("torch"), reports.run("lucky", speed=1.5), reports.run("even")]
    lucky, even = (reports.compare(runs[0], run) for run in runs[1:])
    lucky = replace(lucky, rows=tuple(replace(row, verdict="cannot tell") for row in lucky.rows))
    even = replace(even, rows=tuple(replace(row, verdict="no difference") for row in even.rows))
    text = Page(render(reports.report(*runs, comparisons=(lucky, even)))).text
    assert "Best of 2 candidates: even and torch do not differ at all 5 sizes." in text


def test_an_exit_code_that_is_not_known_is_no_fact() -> None:
    (run,) = reports.one_run().runs
    assert run.setup is not None
    cut = replace(run, setup=replace(run.setup, exit_code=None))
    assert "exit code" in {row.name for row in setup_table(reports.report(run)).rows}
    assert "exit code" not in {row.name for row in setup_table(reports.report(cut)).rows}


def test_the_costliest_call_is_not_said_to_take_most_of_the_time() -> None:
    assert "all_to_all 12 MiB takes the largest part." in Page(render(reports.one_run())).text


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


def test_perf_dumps_are_shown_side_by_side() -> None:
    slow, fast = reports.two_runs().runs
    slow = replace(slow, perf_dumps=(perf_dump(8), perf_dump(10), perf_dump(30)))
    report = reports.report(slow, replace(fast, perf_dumps=(perf_dump(5),)))
    table = perf_tables(report)
    assert [(row.name, row.ratio) for row in table.times] == [("whole request", 2.0), ("Denoising Loop", 2.0)]
    assert [row.values for row in table.memory] == [(10 << 30, 5 << 30)]
    assert "By sglang's own clock" in Page(render(report)).text
    assert "By sglang's own clock" not in Page(render(reports.two_runs())).text


def perf_dump(seconds: int) -> PerfDump:
    memory = MemoryCheckpoint(
        name="after_forward",
        allocated_bytes=None,
        reserved_bytes=None,
        peak_allocated_bytes=seconds << 30,
        peak_reserved_bytes=None,
    )
    return PerfDump(
        file="perf.json",
        request_id=None,
        commit=None,
        tag=None,
        timestamp=None,
        total_ns=seconds * 10**9,
        stages=(Stage(name="Denoising Loop", duration_ns=seconds * 8 * 10**8, count=4),),
        denoise_steps_ns=(),
        memory=(memory,),
        meta=(),
    )


def test_gaps_are_told_with_their_size() -> None:
    (run,) = against_unsized().runs[1:]
    assert run.setup is not None
    lost = replace(
        run,
        missing_ranks=(2, 3),
        steps=(),
        clock=Clock(method="collectives", residual_ns=1500),
        coverage=replace(run.coverage, matched=100, notes=("odd dtype",)),
        setup=replace(run.setup, missing=(MissingRank(rank=2, reason="killed"),)),
    )
    told = {gap.name: [case.detail for case in gap.cases] for gap in gaps(reports.report(lost))}
    assert told["Ranks without a trace"] == ["rank 2: killed", "rank 3: no trace found"]
    assert told["Message sizes"] == ["144 of 144 calls"]
    assert told["Waiting apart from transfer"] == ["44 of 144 calls"]
    assert told["The ranks' clocks"][0].endswith(f"1.50{units.NO_BREAK_SPACE}µs left over")
    assert told["Steps"] == ["no span looks like a step"]
    assert told["Remarks"] == ["odd dtype"]
    assert "Damaged files" not in told


def test_one_run_says_how_much_it_communicates() -> None:
    text = Page(render(reports.one_run())).text
    assert "torch communicates for 45.6 % of its window" in text
    assert "Comparison" not in text


def test_a_run_without_communication_says_so() -> None:
    assert "No communication was found in torch." in Page(render(without_calls())).text


def test_unknown_sizes_are_counted_and_compared_by_duration() -> None:
    text = Page(render(against_unsized())).text
    assert "144 calls of 144 in pynccl carry no message size" in text
    assert "Rows on the basis of duration include waiting" in text
    assert "None" not in text


def test_a_trace_without_a_gpu_says_so() -> None:
    assert "gloo holds no GPU activity" in Page(render(on_the_host())).text


def test_defects_of_the_input_are_told() -> None:
    run = reports.run("torch")
    damaged = replace(run, missing_ranks=(1, 3), coverage=replace(run.coverage, skipped_events=7, notes=("odd dtype",)))
    text = Page(render(reports.report(damaged, passed_over=("traces/notes.json",)))).text
    for words in ("is incomplete", "1, 3", "odd dtype", "1 file passed over", "traces/notes.json"):
        assert words in text


def test_hta_is_shown_or_its_failure() -> None:
    table = HtaTable(title="Idle time", columns=("stream", "cause"), rows=(("7", "host wait"),))
    good = HtaSection(rank=0, version="0.5.0", tables=(table,), error=None)
    bad = HtaSection(rank=0, version="0.5.0", tables=(), error="KeyError: 'stream'")
    first, second = reports.two_runs().runs
    text = Page(render(reports.report(replace(first, hta=good), replace(second, hta=bad)))).text
    assert "host wait" in text
    assert "HolisticTraceAnalysis failed on this trace" in text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name: str) -> None:
    html = render(reports.hostile(name))
    page = Page(html)
    assert page.elements.count("script") == 1
    assert "img" not in page.elements
    assert name in unescape(html)


def test_the_policy_admits_this_style_and_script_only() -> None:
    html = render(reports.two_runs())
    policy = unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', html)[0])
    assert policy.startswith("default-src 'none';")
    for tag in ("style", "script"):
        (body,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_two_runs_of_eight_ranks_stay_under_a_megabyte() -> None:
    assert len(render(reports.two_runs(8)).encode()) < 1_000_000
