"""What would help, on the page."""

import re

from msgspec.structs import replace

from tests import reports
from traceana import units
from traceana.render.html import render
from traceana.report import OverlapPrice, Report, RunReport, WhatIf

MS = 1_000_000
CHANGE = WhatIf(
    change="rank 2 <b> as quick as its peers",
    measured_step_ns=50 * MS,
    replayed_step_ns=49 * MS,
    predicted_step_ns=42 * MS,
    low_ns=41 * MS,
    high_ns=43 * MS,
    saved_low_ns=7 * MS,
    saved_high_ns=9 * MS,
    steps=12,
)
PRICE = OverlapPrice(
    kernels=50, usual_ns=10 * MS, extra_ns=MS, low_ns=1, high_ns=2 * MS, p_value=0.002, certain=True, step_ns=MS // 4
)


def section(run: RunReport) -> str | None:
    """The section's text without its tags, None where the page has none."""
    page = render(one_run(run))
    found = re.search(r'<section id="what_if">(.*?)</section>', page, re.DOTALL)
    text = re.sub(r"<[^>]+>", " ", found[1]) if found else None
    return re.sub(r"\s+", " ", text.replace(units.NO_BREAK_SPACE, " ")) if text else None


def one_run(run: RunReport) -> Report:
    return replace(reports.report(), runs=(run,), comparisons=())


def test_changes_come_with_what_they_save_and_its_bounds() -> None:
    text = section(replace(reports.run("torch"), what_if=(CHANGE,)))
    assert text is not None
    assert "rank 2 &lt;b&gt; as quick as its peers 8.00 ms 7.00 ms 9.00 ms 42.0 ms" in text
    assert "A step took 50.0 ms on the mean of 12 steady steps; the unchanged replay gives 49.0 ms" in text


def test_what_is_not_known_is_said() -> None:
    text = section(replace(reports.run("torch"), what_if_unknown="the traces of ranks 1 are missing"))
    assert text is not None
    assert "Not known: the traces of ranks 1 are missing." in text


def test_a_run_that_nothing_helps_says_so() -> None:
    text = section(replace(reports.run("torch"), what_if=()))
    assert text is not None
    assert "No late rank, no launch gap" in text


def test_the_price_of_overlap_is_told_where_it_is_certain() -> None:
    text = section(replace(reports.run("torch"), overlap_price=PRICE))
    assert text is not None
    assert "Overlap costs 250 µs a step: compute beside communication took 10 % longer" in text
    assert section(replace(reports.run("torch"), overlap_price=replace(PRICE, step_ns=None))) is None
