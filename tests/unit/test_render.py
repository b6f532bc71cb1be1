"""The page as a whole: well-formed, escaped, complete."""

import base64
import hashlib
import re
from html import unescape

import pytest
from msgspec.structs import replace

from tests import reports
from tests.page import Page
from tests.report_variants import against_unsized, many_runs, on_the_host, without_calls
from traceana import units
from traceana.render.html import render
from traceana.render.sections.comparison import comparison_tables
from traceana.render.sections.unknowns import gaps
from traceana.render.text.comparison_tables import of_runs
from traceana.report import (
    Clock,
    HtaSection,
    HtaTable,
    MissingRank,
)

HOSTILE = ("<script>alert(1)</script>", '"><img src=x>')


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


def test_it_says_that_the_intervals_take_calls_as_the_sample() -> None:
    sentence = "they take calls as the sample"
    assert sentence in Page(render(reports.two_runs())).text
    assert sentence not in Page(render(reports.one_run())).text


def test_a_row_without_a_steady_call_shows_no_numbers() -> None:
    slow, fast = reports.two_runs().runs
    comparison = reports.compare(slow, fast)
    empty = replace(comparison.rows[0], op="barrier", baseline_p50_ns=0, candidate_p50_ns=0, speedup=0.0, ci_low=None)
    rows = (replace(empty, ci_high=None, verdict="cannot tell"),)
    text = Page(render(reports.report(slow, fast, comparisons=(replace(comparison, rows=rows),)))).text
    assert re.search(r"barrier 12 MiB – – – ", text)
    assert "Hollow" not in text


def test_an_interval_s_ends_are_marked_where_they_are_on_the_plot() -> None:
    slow, fast = reports.two_runs().runs
    plain = reports.compare(slow, fast)
    ends = {(1.29, 1.31): 2, (0.01, 1.31): 1, (None, None): 0}
    for (low, high), caps in ends.items():
        rows = (replace(plain.rows[0], ci_low=low, ci_high=high),)
        (table,) = comparison_tables(reports.report(slow, fast, comparisons=(replace(plain, rows=rows),)))
        assert len(table.rows[0].interval.caps) == caps


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
    for words in ("incomplete 2 of 2 ranks read", "1, 3", "odd dtype", "1 file passed over", "traces/notes.json"):
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


def test_groups_are_told_apart_and_a_worth_that_is_not_known_says_why() -> None:
    slow, fast = reports.two_runs().runs
    plain = reports.compare(slow, fast)
    two, four = (replace(plain.rows[0], group_size=ranks) for ranks in (2, 4))
    four = replace(four, worth_ns=None, worth_reason="other calls a step: 2 on a rank against 3")
    comparison = replace(plain, rows=(two, four))
    text = Page(render(reports.report(slow, fast, comparisons=(comparison,)))).text
    assert "Worth of all_to_all 12 MiB over 4 ranks not known: other calls a step: 2 on a rank against 3." in text
    table = of_runs([comparison])[-1]
    ranks, worth = table.columns.index("ranks"), len(table.columns) - 1
    assert [(row[ranks], row[worth]) for row in table.rows] == [("2", "2.25\xa0ms"), ("4", "not known")]
    assert "ranks" not in of_runs([plain])[-1].columns
