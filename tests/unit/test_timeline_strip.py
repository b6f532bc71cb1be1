"""The timeline strip: as much of each kind as there is time of it, idleness drawn as idleness."""

import re

import pytest
from msgspec.structs import replace

from tests import reports
from traceana.render.html import render
from traceana.render.sections.timeline import CELLS, timelines
from traceana.report import Timeline, TimelineCall, TimelineRow, TimelineSlice


@pytest.mark.parametrize("busy", [0.02, 0.5, 0.98])
def test_areas_are_as_the_times(busy: float) -> None:
    period = 10_000
    slices = tuple(
        TimelineSlice(start_ns=start, end_ns=start + round(busy * period), kind="compute")
        for start in range(0, 50_000_000, period)
    )
    timeline = Timeline(title="step", duration_ns=50_000_000, rows=(TimelineRow(rank=0, slices=slices),))
    run = replace(reports.run("torch"), timeline=timeline)
    (drawn,) = timelines(reports.report(run))
    (path,) = drawn.strips[0].paths
    widths = [int(width) for width in re.findall(r"h(\d+)v", path.outline)]
    assert sum(widths) == pytest.approx(busy * CELLS, abs=2)


def test_a_call_on_the_strip_says_what_it_is() -> None:
    matched = TimelineCall(
        start_ns=0,
        end_ns=250_000,
        op="all_reduce",
        message_bytes=4 << 20,
        group_size=8,
        wait_ns=50_000,
        transfer_ns=200_000,
    )
    alone = replace(matched, start_ns=500_000, end_ns=600_000, message_bytes=None, wait_ns=None, transfer_ns=None)
    row = TimelineRow(rank=1, slices=(), calls=(matched, alone))
    run = replace(reports.run("torch"), timeline=Timeline(title="step", duration_ns=1_000_000, rows=(row,)))
    (drawn,) = timelines(reports.report(run))
    first, second = drawn.strips[0].calls
    assert (first.at, first.width, second.at, second.width) == (0, 25, 50, 10)
    text = "rank 1: all_reduce 4 MiB among 8 ranks, 250 µs here, waits 50.0 µs, transfers 200 µs"
    assert first.title.replace("\xa0", " ") == text
    assert second.title.replace("\xa0", " ").endswith("all_reduce among 8 ranks, 100 µs here, not matched across ranks")
    assert 'class="call"' in render(reports.report(run))
