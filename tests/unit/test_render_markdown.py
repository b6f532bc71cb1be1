from dataclasses import replace
from itertools import pairwise

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests import reports
from traceana import units
from traceana.render.markdown import render
from traceana.report import Report

HOSTILE = ("<script>alert(1)</script>", "a|b|c", "**bold** [link](http://a)", "# heading\n\n- item", "`code` ~~no~~ \\")


def tokens(report: Report) -> list[Token]:
    """As a reader of markdown with tables takes it, HTML allowed."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(render(report))


def rows(report: Report) -> list[list[str]]:
    """The cells of every table row, as text."""
    found: list[list[str]] = []
    flat = tokens(report)
    for before, token in pairwise(flat):
        if before.type == "tr_open":
            found.append([])
        if before.type in ("td_open", "th_open"):
            found[-1].append("".join(child.content for child in token.children or []))
    return [[cell.replace(units.NO_BREAK_SPACE, " ") for cell in row] for row in found]


def test_the_summary_holds_verdict_tables_fairness_and_gaps() -> None:
    text = render(reports.two_runs()).replace(units.NO_BREAK_SPACE, " ")
    assert text.startswith("## pynccl beats torch.\n")
    for words in (
        "- Is pynccl faster? **1.32×** speed-up of communication (faster at 5 of 5 rows)",
        "- Can I trust it? **Only 1 run a side**",
        "- Like for like",
        "take calls as the sample",
        "- Call sites (torch: 8 of 144 calls; pynccl: 8 of 144 calls).",
    ):
        assert words in text
    table = rows(reports.two_runs())
    assert table[0][:4] == ["operation", "size", "torch", "pynccl"]
    assert table[1][:3] == ["all_to_all", "12 MiB", "2.39 ms"]
    assert table[1][6:] == ["saves 2.25 ms a step", "1.30–1.50×", "faster"]
    assert table[-1][-1] == "cannot tell: 3 steady steps a side are too few"


def test_reasons_and_noise_replace_like_for_like() -> None:
    slow, fast = reports.two_runs().runs
    comparison = replace(reports.compare(slow, fast, reasons=("world sizes differ",)), noise=("rank 1 slows down",))
    text = render(reports.report(slow, fast, comparisons=(comparison,)))
    assert "- Not like for like: world sizes differ.\n- Noisy: rank 1 slows down.\n" in text
    assert "- Like for like" not in text


def test_one_run_needs_no_table() -> None:
    assert rows(reports.one_run()) == []
    assert "torch communicates for" in render(reports.one_run())


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name: str) -> None:
    plain, hostile = tokens(reports.two_runs()), tokens(reports.hostile(name))
    inline = {child.type for token in hostile for child in token.children or []}
    assert inline <= {"text", "text_special", "strong_open", "strong_close", "softbreak"}
    assert {token.type for token in hostile} <= {token.type for token in plain}
    assert rows(reports.hostile(name))[1][0] == " ".join(name.split())
